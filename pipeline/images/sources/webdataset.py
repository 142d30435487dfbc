"""WebDataset archives: the members of a sample share a name; images are read by byte range."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from pipeline.errors import ConfigError, DatasetError, first_line
from pipeline.files.listing import File, find_files, listing_hash
from pipeline.files.places import open_file
from pipeline.files.read_ahead import ahead
from pipeline.files.root import MARK, location
from pipeline.images.label_sets import LabelSets, label_set
from pipeline.images.sources.boxes import NO_BOXES, Boxes
from pipeline.images.sources.class_folders import ClassFolders, class_folders, folders_of
from pipeline.images.sources.exclusion import ALL, Exclusion
from pipeline.images.sources.image_files import is_image
from pipeline.images.sources.labels import Labels, class_names, table_labels
from pipeline.images.sources.leftovers import Leftover, Leftovers
from pipeline.images.sources.samples import (
    LABEL_MEMBERS,
    Choice,
    Flags,
    Found,
    archive_samples,
    gives_list,
)
from pipeline.images.sources.source import Entry
from pipeline.images.sources.splits import split_of
from pipeline.images.sources.tar import Windowed, tar_members

SUFFIXES = (".tar",)

OTHERS = "files that are not .tar archives"

_LOOKED_AT = 256
_USUAL = Choice()


@dataclass(frozen=True)
class WebDatasetSource:
    """Images of tar archives in order of the archives; URIs are ``archive#member``.

    Members whose names are the same up to the first dot are a sample. Its label is the number or
    name in its ``.cls`` member (or .label, .class, .index), or in the field ``label`` (or class,
    target, …) of its ``.json`` member, where it may be a list. Only headers and these members are
    read. Where no archive has any of these, and its images lie in folders, the folders are the
    classes.
    """

    root: str
    files: Sequence[File]
    labels: Labels | None
    boxes: Boxes = field(repr=False)
    choice: Choice = _USUAL
    folders: ClassFolders | None = None
    ignored: tuple[Leftover, ...] = ()
    sets: LabelSets | None = None

    @property
    def class_names(self) -> dict[int, str]:
        """Label → name as ``dataset.labels`` or the archives' class folders have it."""
        if self.folders is not None:
            return class_names(self.folders.labels)
        return class_names(self.classes)

    @property
    def classes(self) -> dict[str, int | None]:
        """Name → label as ``dataset.labels`` or the archives' class folders have it."""
        if self.folders is not None:
            return self.folders.labels
        if self.labels is None and self.sets is not None:
            return {name: place for place, name in enumerate(self.sets.flags)}
        return {} if self.labels is None else dict(self.labels.items())

    @property
    def multi_label(self) -> bool:
        """Whether a sample has a list of labels."""
        return self.sets is not None

    def listing(self) -> str | None:
        """Return a hash of the archives' names, sizes and versions."""
        labels = None if self.labels is None else sorted(self.labels.items())
        chosen: tuple[object, ...] = () if self.choice == _USUAL else (self.choice,)
        chosen += () if self.sets is None else (self.sets,)
        if self.boxes is not NO_BOXES:
            return None
        return listing_hash("tar", self.files, labels, *chosen)

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """Yield the images of all archives; 16 archives are read in parallel."""
        leftovers.update(self.ignored)
        known: dict[Any, int | None] = {}
        look = partial(_images, self.root, self.choice)
        for file, (found, left) in zip(self.files, ahead(look, self.files), strict=True):
            leftovers.update(left)
            named = split_of(file.uri)
            for member, value in found:
                uri = f"{file.uri}{MARK}{member.name}"
                entry = Entry(uri, member.offset, member.length, split=named)
                if self.folders is not None:
                    label, inner = self.folders.of(member.name)
                    entry = replace(entry, label=label, split=inner or named)
                elif self.sets is None:
                    entry = replace(entry, label=self._label(known, uri, value))
                else:
                    members = self.sets.members(value)
                    several = label_set(members, partial(self._label, known, uri))
                    boxes, own = self.boxes.with_labels(uri)
                    yield replace(entry, labels=several, boxes=boxes, box_labels=own)
                    continue
                yield replace(entry, boxes=self.boxes.of(uri, entry.label))
        self.boxes.finish(leftovers)

    def _label(self, known: dict[Any, int | None], uri: str, value: Any) -> int | None:
        """Return the label of a value as it is stored; ``known`` are those met before."""
        if isinstance(value, list):
            raise DatasetError(
                f"{uri} has a list of labels, {value!r:.80}, but the first sample has one label; "
                "write a list for every sample"
            )
        if value not in known:
            try:
                known.update(table_labels([value], self.labels))
            except ConfigError as error:
                archive, _, member = uri.partition(MARK)
                raise type(error)(f"{archive}, {member[:200]!r}: {error}") from error
        return known[value]


def open_webdataset(
    source: str,
    labels: Labels | None,
    boxes: Boxes = NO_BOXES,
    *,
    image: str | None = None,
    label: str | None = None,
    exclusion: Exclusion = ALL,
    separator: str | None = None,
    flags: Sequence[str] = (),
) -> WebDatasetSource:
    """Find the archives of a file, folder, prefix, glob or brace expression.

    ``image`` is the suffix of the image members (``jpg``) where samples have several, ``label``
    the JSON field or the suffix of the label members. With a ``separator`` a label is a text with
    several; ``flags`` are JSON fields of 0 and 1, one for each class.

    Raises
    ------
    ConfigError, DatasetError
        There are none, some of those named are missing, or a name cannot be part of a URI.
    """
    left = Leftovers()
    root, files = find_files(source, SUFFIXES, lambda uri: left.add(OTHERS, uri))
    check_names(files)
    own = tuple(flags)
    choice = Flags(image, label, exclusion, own) if own else Choice(image, label, exclusion)
    if own or separator:
        sets = LabelSets(separator, own)
        return WebDatasetSource(root, files, labels, boxes, choice, None, left.found, sets)
    in_folders, lists = _start(root, files[0], choice)
    folders = _folders(root, files, labels, exclusion) if in_folders and not label else None
    listed = LabelSets() if lists else None
    return WebDatasetSource(root, files, labels, boxes, choice, folders, left.found, listed)


def check_names(files: Sequence[File]) -> None:
    """Refuse files whose names contain ``#``, the separator between a file and its member."""
    if marked := [file.uri for file in files if MARK in file.uri]:
        raise DatasetError(f"the name {marked[0]!r} contains a {MARK}; rename the file")


def _folders(
    root: str, files: Sequence[File], labels: Labels | None, exclusion: Exclusion
) -> ClassFolders | None:
    """Return the class folders of archives that have no other labels, None if they have some."""
    paths: set[tuple[str, ...]] = set()
    for some in ahead(partial(_paths, root, exclusion), files):
        if some is None:
            return None
        paths |= some
    return class_folders(paths, labels, exclusion.chosen)


def _start(root: str, file: File, choice: Choice) -> tuple[bool, bool]:
    """Look at the first members of an archive.

    Return whether its images lie in folders and have no labels, and whether the first label is a
    list. Images without a folder have their label in the same sample, so two of them decide.
    """
    some = bare = 0
    with _opened(root, file) as window:
        for member in islice(tar_members(window, file.size, file.uri, Leftovers()), _LOOKED_AT):
            if _is_label(member.name):
                return False, gives_list(window, file.uri, member, choice)
            some += is_image(member.name)
            bare += is_image(member.name) and not folders_of(member.name)
            if bare > 2:
                break
    return bool(some and not bare), False


def _paths(root: str, exclusion: Exclusion, file: File) -> set[tuple[str, ...]] | None:
    """Return the folders of an archive's images; None if it has members with labels."""
    paths: set[tuple[str, ...]] = set()
    with _opened(root, file) as window:
        for member in tar_members(window, file.size, file.uri, Leftovers()):
            if _is_label(member.name):
                return None
            if is_image(member.name) and not exclusion(member.name):
                paths.add(folders_of(member.name))
    return paths


def _is_label(name: str) -> bool:
    return name.lower().rpartition(".")[2] in LABEL_MEMBERS


@contextmanager
def _opened(root: str, file: File) -> Iterator[Windowed]:
    try:
        with open_file(location(root, file.uri)) as content:
            yield Windowed(content, file.size)
    except FileNotFoundError as error:
        raise DatasetError(f"{file.uri} disappeared while it was listed; try again") from error
    except OSError as error:
        raise DatasetError(f"cannot read {file.uri}: {first_line(error)}") from error


def _images(root: str, choice: Choice, file: File) -> tuple[list[Found], tuple[Leftover, ...]]:
    """Return the images of one archive with their labels, and what is left over."""
    left = Leftovers()
    with _opened(root, file) as window:
        return archive_samples(window, file.size, file.uri, choice, left), left.found
