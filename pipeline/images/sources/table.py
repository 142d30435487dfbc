"""Tables of image URIs, with labels and splits where they have them."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from pipeline.errors import DatasetError
from pipeline.files.listing import find_files, is_file
from pipeline.files.root import Root, location
from pipeline.files.tabular import SUFFIXES, Table
from pipeline.files.urls import shown
from pipeline.images.label_sets import LabelSets, label_set, set_flags, sets_of
from pipeline.images.sources.boxes import NO_BOXES, Boxes
from pipeline.images.sources.columns import flag_columns, label_column, unused
from pipeline.images.sources.labels import (
    Labels,
    NamesNeeded,
    class_names,
    label_names,
    table_labels,
)
from pipeline.images.sources.leftovers import Leftover, Leftovers
from pipeline.images.sources.source import Entry
from pipeline.images.sources.splits import split_of
from pipeline.nouns import counted

METADATA = "metadata"
"""Stem of the tables that Hugging Face's ImageFolder keeps next to its images."""

_LOOKED_AT = 16


@dataclass(frozen=True)
class Part:
    """One table: the folder below the root that its URIs are relative to, and its columns."""

    table: Table
    folder: str
    named: str | None
    uri: str
    label: str | None
    split: str | None
    sets: LabelSets | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The columns of 0 and 1, one for each class."""
        return () if self.sets is None else self.sets.flags

    @property
    def columns(self) -> list[str]:
        """The columns that are read."""
        return [name for name in (self.uri, self.label, self.split, *self.flags) if name]


@dataclass(frozen=True)
class TableSource:
    """Images in order of the tables and their rows.

    Files that are missing keep their row (with no length): they are quarantined when they are
    fetched. If all are missing the root must be wrong, which is an error; of objects, which have
    no length here, the first 16 are checked. A path with backslashes that does not exist as
    written is read with slashes.
    """

    parts: Sequence[Part]
    base: Root
    labels: dict[Any, int | None]
    classes: dict[str, int | None]
    boxes: Boxes = field(repr=False)
    ignored: tuple[Leftover, ...] = ()

    @property
    def root(self) -> str:
        """The folder that relative URIs are relative to."""
        return self.base.path

    @property
    def class_names(self) -> dict[int, str]:
        """Label → name; where a label has several names, the first one in order."""
        return class_names(self.classes)

    @property
    def multi_label(self) -> bool:
        """Whether a row has a list of labels; in all tables, or in none."""
        return self.parts[0].sets is not None

    def listing(self) -> None:
        """Return None: nothing is cheaper than a scan."""

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """Yield the images in order of the tables."""
        leftovers.update(self.ignored)
        rows = found = backslashes = 0
        objects: list[str] = []
        for part in self.parts:
            for uri, value, split in _rows(part):
                rows += 1
                backslashes += "\\" in (uri or "")
                placed, size = self._placed(part, uri or "", rows)
                found += size is not None
                if len(objects) < _LOOKED_AT and self.base.is_object(placed):
                    objects.append(placed)
                entry = Entry(placed, None, size, split=split or part.named)
                if part.sets is None:
                    label = self.labels[value] if value == value else None
                    yield replace(entry, label=label, boxes=self.boxes.of(placed, label))
                    continue
                boxes, own = self.boxes.with_labels(placed)
                several = label_set(part.sets.members(value), self.labels.__getitem__)
                yield replace(entry, labels=several, boxes=boxes, box_labels=own)
        paths = ", ".join(part.table.path for part in self.parts[:3])
        if not rows:
            raise DatasetError(f"the table {paths} has no rows")
        if not found and not any(map(self.base.exists, objects)):
            why = (
                "; some have backslashes, which are not path separators here" if backslashes else ""
            )
            raise DatasetError(
                f"none of the {counted(rows, 'file')} of {paths} exists below {self.root}{why}; "
                "set dataset.root to the folder that its URIs are relative to"
            )
        self.boxes.finish(leftovers)

    def _placed(self, part: Part, uri: str, row: int) -> tuple[str, int | None]:
        """Return the URI as the index spells it, and its size in bytes."""
        try:
            placed = self.base.place(_below(part.folder, uri))
            size = self.base.size(placed)
            if size is None and "\\" in uri:
                slashed = self.base.place(_below(part.folder, uri.replace("\\", "/")))
                if (size := self.base.size(slashed)) is not None:
                    placed = slashed
            return placed, size
        except DatasetError as error:
            safe = shown(uri)[:200]
            raise DatasetError(
                f"{part.table.path}, row {row}: {safe!r} is refused: {error}"
            ) from error


def open_table(
    source: str,
    root: Root,
    labels: Labels | None,
    boxes: Boxes = NO_BOXES,
    *,
    image: str | None = None,
    label: str | None = None,
    separator: str | None = None,
    flags: Sequence[str] = (),
    own_folders: bool = True,
) -> TableSource:
    """Read the columns of one table, or of a folder of them, and the distinct labels.

    ``image`` and ``label`` override the usual column names; with a ``separator`` the label column
    holds several labels per row, and ``flags`` are columns of 0 and 1, one for each class. With
    ``own_folders`` the URIs of a table in a folder of ``root`` are relative to that folder.

    Raises
    ------
    DatasetError, ConfigError
        A table cannot be read, has no URI column, or has labels that are neither indices nor names.
    """
    leftovers = Leftovers()
    parts = [
        _part(path, folder if own_folders else "", named, image, label, separator, flags)
        for path, folder, named in _tables(source, leftovers)
    ]
    if len({part.sets is None for part in parts}) > 1:
        raise DatasetError(
            f"some tables of {source} hold one label per row and some lists; read them separately"
        )
    values: set[Any] = {None}
    for part in parts:
        labelled = part.label or next(iter(part.flags), None)
        what, names = unused(part.table.names, part.columns, labelled)
        for name in names:
            leftovers.add(what, name)
        values.update(part.flags)
        if part.label:
            for batch in part.table.batches([part.label]):
                column = batch.column(0)
                if part.sets is None:
                    values.update(column.unique().to_pylist())
                else:
                    values |= part.sets.distinct(column)
    try:
        known = table_labels(values, labels)
    except NamesNeeded:
        labels = {name: place for place, name in enumerate(label_names(values))}
        known = table_labels(values, labels)
    classes = {} if labels is None else dict(labels.items())
    return TableSource(parts, root, known, classes, boxes, leftovers.found)


def _tables(source: str, leftovers: Leftovers) -> list[tuple[str, str, str | None]]:
    """Return every table's path, its folder below the common one, and the split it is named after.

    If some are called ``metadata``, the others are ignored.
    """
    if is_file(source, SUFFIXES):
        return [(source, "", None)]
    root, files = find_files(source, SUFFIXES)
    known = [file for file in files if _stem(file.uri) == METADATA] or files
    for file in files:
        if file not in known:
            leftovers.add("tables beside metadata", file.uri)
    return [
        (location(root, file.uri), posixpath.dirname(file.uri), split_of(file.uri))
        for file in known
    ]


def _stem(uri: str) -> str:
    return posixpath.splitext(posixpath.basename(uri))[0].lower()


def _part(
    path: str,
    folder: str,
    named: str | None,
    image: str | None,
    label: str | None,
    separator: str | None,
    flags: Sequence[str],
) -> Part:
    table = Table(path)
    uri = table.uri_column(image)
    kind = table.schema.field(uri).type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or _coded(kind)):
        raise DatasetError(
            f"{path}: column {uri} must be text (paths or URLs of images), not {kind}"
        )
    own = flag_columns(table.names, flags, path)
    label = None if own else label_column(table.schema, label, path)
    labels = None if label is None else table.schema.field(label).type
    sets = sets_of(labels, separator, own, path)
    return Part(table, folder, named, uri, label, table.column("split"), sets)


def _coded(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))


def _rows(part: Part) -> Iterator[tuple[str | None, Any, str | None]]:
    """Yield URI, label and split of every row."""
    for batch in part.table.batches(part.columns):
        nothing = [None] * batch.num_rows
        uris = _texts(part, batch, part.uri)
        labels = batch.column(part.label).to_pylist() if part.label else nothing
        if part.flags:
            rows = batch.select(list(part.flags)).to_pylist()
            where = [f"{part.table.path}, row of {uri!r:.80}" for uri in uris]
            labels = [set_flags(*pair) for pair in zip(rows, where, strict=True)]
        splits = _texts(part, batch, part.split) if part.split else nothing
        yield from zip(uris, labels, splits, strict=True)


def _texts(part: Part, batch: pa.RecordBatch, name: str) -> list[str | None]:
    texts: list[str | None] = part.table.texts(batch.column(name), name).to_pylist()
    return texts


def _below(folder: str, uri: str) -> str:
    """Return a URI of a table in a folder, as the root has it."""
    plain = folder and uri and not posixpath.isabs(uri) and "://" not in uri
    return f"{folder}/{uri}" if plain else uri
