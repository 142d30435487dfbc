"""WebDataset archives: samples are members of one name, images are read by byte range."""

import json
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipeline.errors import ConfigError, DatasetError, first_line
from pipeline.files.listing import File, find_files, listing_hash
from pipeline.files.places import open_file
from pipeline.files.read_ahead import ahead
from pipeline.files.root import MARK, location
from pipeline.images.sources.boxes import NO_BOXES, Boxes
from pipeline.images.sources.folder import SPLITS, SUFFIXES
from pipeline.images.sources.labels import Labels, class_names, table_labels
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.source import Entry
from pipeline.images.sources.tar import Member, Windowed, tar_members

_LABEL_FIELDS = ("label", "cls", "class", "class_id", "class_index", "target")
_LARGEST_LABEL = 1 << 20

Found = tuple[Member, Any]
"""An image and its label as the archive has it."""


@dataclass(frozen=True)
class WebDatasetSource:
    """Images of tar archives in order of the archives; URIs are ``archive#member``.

    Members whose names are the same up to the first dot are a sample. Its label is the number or
    name in its ``.cls`` member, or in the field ``label`` (or cls, class, class_id, class_index,
    target) of its ``.json`` member. Only headers and these members are read.
    """

    root: str
    files: Sequence[File]
    labels: Labels | None
    boxes: Boxes = field(repr=False)

    @property
    def class_names(self) -> dict[int, str]:
        """Label → name as ``dataset.labels`` has it; archives name no classes."""
        return {} if self.labels is None else class_names(self.labels)

    def listing(self) -> str | None:
        """Return a hash of the archives' names, sizes and versions."""
        labels = None if self.labels is None else sorted(self.labels.items())
        return None if self.boxes is not NO_BOXES else listing_hash("tar", self.files, labels)

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """Yield the images of all archives; 16 archives are looked at side by side."""
        known: dict[Any, int | None] = {}
        for file, found in zip(
            self.files, ahead(partial(_images, self.root), self.files), strict=True
        ):
            split = split_of(file.uri)
            for member, value in found:
                if value not in known:
                    known.update(_label(value, self.labels, file.uri, member))
                uri, label = f"{file.uri}{MARK}{member.name}", known[value]
                boxes = self.boxes.of(uri, label)
                yield Entry(uri, member.offset, member.length, label, split, boxes)
        self.boxes.check_all_used()


def open_webdataset(
    source: str, labels: Labels | None, boxes: Boxes = NO_BOXES
) -> WebDatasetSource:
    """Find the archives of a file, folder, prefix, glob or brace expression.

    Raises
    ------
    ConfigError, DatasetError
        There are none, some of those named are missing, or a name cannot be part of a URI.
    """
    root, files = find_files(source, (".tar",))
    check_names(files)
    return WebDatasetSource(root, files, labels, boxes)


def check_names(files: Sequence[File]) -> None:
    """Refuse files whose names hold the mark between a file and what is in it."""
    if marked := [file.uri for file in files if MARK in file.uri]:
        raise DatasetError(f"the name {marked[0]!r} holds a {MARK}; rename the file")


def split_of(uri: str) -> str | None:
    """Return the split that a file is named after (``train-00000-of-00004.parquet``), or None."""
    name = posixpath.basename(uri).lower()
    return next(
        (name[: len(s)] for s in SPLITS if name.startswith((f"{s}-", f"{s}_", f"{s}."))), None
    )


def _images(root: str, file: File) -> list[Found]:
    """Return the images of one archive with what it says of their labels."""
    found: list[Found] = []
    try:
        with open_file(location(root, file.uri)) as content:
            window = Windowed(content, file.size)
            sample: list[Found] = []
            key, label = "", None
            for member in tar_members(window, file.size, file.uri):
                folder, name = posixpath.split(member.name)
                stem, _, kind = name.partition(".")
                if name.startswith(".") or not kind:
                    continue
                if key != (key := f"{folder}/{stem}"):
                    found += _chosen(sample, label)
                    sample, label = [], None
                if os.path.splitext(name)[1].lower() in SUFFIXES:
                    sample.append((member, kind.lower()))
                elif kind.lower() in ("cls", "json") and (label is None or kind.lower() == "cls"):
                    label = _said(window, member, kind.lower(), file.uri, label)
            found += _chosen(sample, label)
    except FileNotFoundError as error:
        raise DatasetError(f"{file.uri} disappeared while it was listed; try again") from error
    except OSError as error:
        raise DatasetError(f"cannot read {file.uri}: {first_line(error)}") from error
    return found


def _chosen(sample: list[Found], label: Any) -> Iterator[Found]:
    """Yield a sample's images: ``x.jpg`` rather than ``x.mask.png``, where it has both."""
    plain = [member for member, kind in sample if f".{kind}" in SUFFIXES]
    for member in plain or [member for member, _ in sample]:
        yield member, label


def _said(window: Windowed, member: Member, kind: str, uri: str, before: Any) -> Any:
    """Return the label in a ``.cls`` or ``.json`` member."""
    if member.length > _LARGEST_LABEL:
        raise DatasetError(f"{uri}: {member.name[:200]!r} is no label: {member.length:,} bytes")
    window.seek(member.offset)
    content = window.read(member.length)
    try:
        text = content.decode()
        if kind == "cls":
            return text.strip()
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{uri}: {member.name[:200]!r} cannot be read: {error}") from error
    if not isinstance(fields, dict):
        return before
    label = next((fields[name] for name in _LABEL_FIELDS if name in fields), before)
    if isinstance(label, list | dict):
        raise DatasetError(f"{uri}: {member.name[:200]!r} must hold one class index or name")
    return label


def _label(value: Any, labels: Labels | None, uri: str, member: Member) -> dict[Any, int | None]:
    try:
        return table_labels([value], labels)
    except ConfigError as error:
        raise ConfigError(f"{uri}, {member.name[:200]!r}: {error}") from error
