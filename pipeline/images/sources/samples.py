"""Samples of an archive: members that share a name, one the image and perhaps one a label."""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import DatasetError
from pipeline.images.label_sets import set_flags
from pipeline.images.sources.columns import NO_LABELS, find_label
from pipeline.images.sources.exclusion import ALL, EXCLUDED, Exclusion
from pipeline.images.sources.image_files import SUFFIXES, is_image
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.masks import of_image, refuse
from pipeline.images.sources.tar import Member, Windowed, tar_members

LABEL_MEMBERS = ("cls", "json", "label", "class", "index")
"""Suffixes of members that hold a label, case-insensitive; the first one found is used."""

_LARGEST_LABEL = 1 << 20
_NO_FIELD = object()
_DIGITS = re.compile(r"\d+")

Found = tuple[Member, Any]
"""An image and its label as stored in the archive."""


@dataclass(frozen=True)
class Choice:
    """Choices of the configuration: the suffix of images, and the field or suffix of labels."""

    image: str | None = None
    label: str | None = None
    exclusion: Exclusion = ALL

    def value(self, fields: Mapping[str, Any], where: str) -> Any:
        """Return the label among the fields of a JSON member, or a list of labels."""
        nested = [name for name, value in fields.items() if isinstance(value, list | dict)]
        name = find_label(list(fields), nested, self.label)
        value = _NO_FIELD if name is None else fields[name]
        if isinstance(value, dict):
            raise DatasetError(f"{where} holds {name}: {value!r:.80}; {NO_LABELS}")
        return value


@dataclass(frozen=True)
class Flags(Choice):
    """A choice of fields that hold 0 or 1, one for each class."""

    flags: tuple[str, ...] = ()

    def value(self, fields: Mapping[str, Any], where: str) -> Any:
        """Return the names of the fields that are 1."""
        own = {name: fields[name] for name in self.flags if name in fields}
        return set_flags(own, where) if own else _NO_FIELD


@dataclass
class _Sample:
    key: str
    images: list[tuple[Member, str]] = field(default_factory=list)
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is between the sample's name and the suffix (usually nothing) → suffix → label."""
    named: str = ""

    def label(self, kind: str, choice: Choice) -> Any:
        """Return the label of the image of a kind: its own (``x.2.jpg``, ``x.2.cls``) or x's."""
        stem = kind.rpartition(".")[0]
        own = self.labels.get(stem) or self.labels.get("", {})
        order = [choice.label] if choice.label in own else LABEL_MEMBERS
        return next((own[name] for name in order if own.get(name) is not None), None)


def archive_samples(
    file: Windowed, size: int, uri: str, choice: Choice, leftovers: Leftovers
) -> list[Found]:
    """Return the images of an archive in order, with their labels.

    Members whose names are the same up to the first dot are a sample. They need not be adjacent:
    all images may come before all labels.

    Raises
    ------
    DatasetError
        The archive or a label is damaged, or a sample has several images and none was chosen.
    """
    samples: list[_Sample] = []
    for member in tar_members(file, size, uri, leftovers):
        folder, name = posixpath.split(member.name)
        stem, _, kind = name.partition(".")
        if name.startswith("."):
            continue
        if not samples or samples[-1].key != f"{folder}/{stem}":
            samples.append(_Sample(f"{folder}/{stem}"))
        if is_image(name) and choice.exclusion(member.name):
            leftovers.add(EXCLUDED, f"{uri}#{member.name}")
        elif is_image(name):
            samples[-1].images.append((member, kind.lower()))
        elif not _read_label(samples[-1], file, member, kind.lower(), uri, choice):
            leftovers.add("members that are neither images nor labels", f"{uri}#{member.name}")
    _join(samples, uri, leftovers)
    if not choice.exclusion.chosen:
        _refuse_masks(samples, uri)
    found: list[Found] = []
    for sample in samples:
        for member, kind in _chosen(sample, uri, choice, leftovers):
            found.append((member, sample.label(kind, choice)))
    return found


def _read_label(
    sample: _Sample, file: Windowed, member: Member, kind: str, uri: str, choice: Choice
) -> bool:
    """Add the label that a member holds; return False if it does not hold one."""
    stem, _, last = kind.rpartition(".")
    if last not in LABEL_MEMBERS and last != choice.label:
        return False
    if last == "json" and stem:
        return False
    text = _text(file, member, uri)
    value: Any = text.strip()
    if last == "json" and (value := _field(text, member, uri, choice)) is _NO_FIELD:
        return False
    sample.labels.setdefault(stem, {})[last] = value
    sample.named = member.name
    return True


def _text(file: Windowed, member: Member, uri: str) -> str:
    if member.length > _LARGEST_LABEL:
        raise DatasetError(
            f"{uri}: {member.name[:200]!r} is too large for a label: {member.length:,} bytes"
        )
    file.seek(member.offset)
    try:
        return file.read(member.length).decode()
    except UnicodeDecodeError as error:
        raise _unreadable(uri, member, error) from error


def _field(text: str, member: Member, uri: str, choice: Choice) -> Any:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(uri, member, error) from error
    if not isinstance(fields, dict):
        return _NO_FIELD
    return choice.value(fields, f"{uri}: {member.name[:200]!r}")


def gives_list(file: Windowed, uri: str, member: Member, choice: Choice) -> bool:
    """Return whether a member with a label is JSON with a list of labels."""
    if not member.name.lower().endswith(".json"):
        return False
    return isinstance(_field(_text(file, member, uri), member, uri, choice), list)


def _unreadable(uri: str, member: Member, error: Exception) -> DatasetError:
    return DatasetError(f"{uri}: {member.name[:200]!r} cannot be read: {error}")


def _join(samples: list[_Sample], uri: str, leftovers: Leftovers) -> None:
    """Join labels without an image to the image of the same name that has no label yet."""
    bare = {sample.key: sample for sample in samples if sample.images and not sample.labels}
    for sample in samples:
        if sample.labels and not sample.images:
            if (other := bare.pop(sample.key, None)) is not None:
                other.labels = sample.labels
            else:
                leftovers.add("labels in archives without an image", f"{uri}#{sample.named}")


def _refuse_masks(samples: list[_Sample], uri: str) -> None:
    """Refuse a sample that by its name is the mask of another (``x_mask.png`` of ``x.jpg``)."""
    images = {sample.key: sample for sample in samples if sample.images}
    for key, sample in images.items():
        folder, stem = posixpath.split(key)
        image = of_image(stem)
        if image is not None and (other := images.get(f"{folder}/{image}")):
            (mask, kind), (shown, _) = sample.images[0], other.images[0]
            pattern = f"*{stem[len(image) :]}.{kind}"
            refuse(f"{uri}#{mask.name}", f"{uri}#{shown.name}", pattern)


def _chosen(
    sample: _Sample, uri: str, choice: Choice, leftovers: Leftovers
) -> Iterator[tuple[Member, str]]:
    """Yield a sample's images: ``x.jpg`` rather than ``x.mask.png``, where it has both."""
    if choice.image is not None:
        wanted = choice.image.lower().lstrip(".")
        chosen = [pair for pair in sample.images if pair[1] == wanted]
        chosen = chosen or [pair for pair in sample.images if pair[1].endswith(f".{wanted}")]
    else:
        plain = [pair for pair in sample.images if f".{pair[1]}" in SUFFIXES]
        chosen = plain or sample.images
        kinds = sorted({kind for _, kind in chosen})
        if len({_DIGITS.sub("", kind) for kind in kinds}) > 1:
            raise DatasetError(
                f"{uri}: the sample {sample.key.lstrip('/')[:200]!r} holds several images "
                f"({', '.join(kinds[:5])}); choose the one to explain, for example with "
                f"dataset.image_column: {kinds[0]}"
            )
    for member, _ in sample.images:
        if all(member is not one for one, _ in chosen):
            leftovers.add("other images of the same sample", f"{uri}#{member.name}")
    yield from chosen
