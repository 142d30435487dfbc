"""Parquet files that contain the images, as Hugging Face stores its datasets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import BaseError

from pipeline.errors import ConfigError, DatasetError, first_line
from pipeline.files.listing import File, find_files, is_pattern, listing_hash
from pipeline.files.places import open_file
from pipeline.files.read_ahead import ahead
from pipeline.files.root import MARK, location
from pipeline.files.tabular import find_column
from pipeline.images.label_sets import LabelSets, label_set, set_flags, sets_of
from pipeline.images.sources.boxes import NO_BOXES, Boxes
from pipeline.images.sources.columns import (
    chosen_image_column,
    class_label,
    flag_columns,
    label_column,
    unused,
)
from pipeline.images.sources.labels import Labels, class_names, table_labels
from pipeline.images.sources.leftovers import Leftover, Leftovers
from pipeline.images.sources.source import Entry
from pipeline.images.sources.splits import refuse_several_configs, split_of
from pipeline.images.sources.webdataset import check_names
from pipeline.nouns import counted

SUFFIXES = (".parquet", ".pq")

OTHERS = "files that are not .parquet"


@dataclass(frozen=True)
class Columns:
    """Which columns hold image, label and split, and how the files name their classes."""

    image: str
    label: str | None
    split: str | None
    names: tuple[str, ...]


@dataclass(frozen=True)
class ParquetSource:
    """Images of Parquet files in order of files and rows.

    URIs are ``file#row group/row/column``; offset and length are those of the column chunk that
    holds the image. The images themselves are not read here.
    """

    root: str
    files: Sequence[File]
    columns: Columns
    labels: Labels | None
    boxes: Boxes = field(repr=False)
    ignored: tuple[Leftover, ...] = ()
    sets: LabelSets | None = None

    @property
    def class_names(self) -> dict[int, str]:
        """Label → name, from ``dataset.labels``, the files' ClassLabel or 0/1 columns."""
        if self.labels is not None:
            return class_names(self.labels)
        return dict(enumerate(self._own_names))

    @property
    def classes(self) -> dict[str, int | None]:
        """Name → label, in the order of the files' own ClassLabel where there is one."""
        names = self._own_names
        if self.labels is None:
            return {name: label for label, name in enumerate(names)}
        return {name: self.labels.get(name) for name in names} or dict(self.labels.items())

    @property
    def _own_names(self) -> tuple[str, ...]:
        return self.columns.names if self.sets is None else self.sets.flags or self.columns.names

    @property
    def multi_label(self) -> bool:
        """Whether a row has a list of labels."""
        return self.sets is not None

    def listing(self) -> str | None:
        """Return a hash of the files' names, sizes and versions, and of the columns used."""
        labels = None if self.labels is None else sorted(self.labels.items())
        if self.boxes is not NO_BOXES:
            return None
        several = () if self.sets is None else (self.sets,)
        return listing_hash("parquet", self.files, self.columns, labels, *several)

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """Yield the images of all files; the footers and labels of 16 are read in parallel."""
        leftovers.update(self.ignored)
        known: dict[Any, int | None] = {}
        rows = empty = 0
        names, sets = self.columns.names, self.sets
        look = partial(_rows, self.root, self.columns, () if sets is None else sets.flags)
        for file, (own, groups) in zip(self.files, ahead(look, self.files), strict=True):
            named = split_of(file.uri)
            if own != names:
                known, names = {}, own
            for number, group in enumerate(groups):
                rows, empty = rows + len(group.values), empty + group.empty
                for row, (value, split) in enumerate(group.values):
                    uri = f"{file.uri}{MARK}{number}/{row}/{self.columns.image}"
                    members = [value] if sets is None else sets.members(value)
                    for member in members or ():
                        if member not in known:
                            known[member] = self._label(member, names, file)
                    entry = Entry(uri, group.offset, group.length, split=split or named)
                    if sets is None:
                        boxes = self.boxes.of(uri, known[value])
                        yield replace(entry, label=known[value], boxes=boxes)
                        continue
                    boxes, own_labels = self.boxes.with_labels(uri)
                    found = label_set(members, known.__getitem__)
                    yield replace(entry, labels=found, boxes=boxes, box_labels=own_labels)
        if rows and empty == rows:
            raise DatasetError(
                f"column {self.columns.image} of {self.root} holds no bytes in any row, perhaps "
                "only the paths of the images; store the images themselves in it"
            )
        self.boxes.finish(leftovers)

    def _label(self, value: Any, names: tuple[str, ...], file: File) -> int | None:
        """Return the label of a value in a file whose ClassLabel has ``names``.

        Without ``dataset.labels`` classes are numbered as in the first file.
        """
        first = self.columns.names
        if value == -1 and names:
            return None
        index = isinstance(value, int) and value >= 0
        if index and (names or first):
            if bool(names) != bool(first):
                raise DatasetError(
                    f"{self.files[0].uri} calls its classes {_few(first)}, but {file.uri} "
                    f"{_few(names)}: read them separately, or give both the same ClassLabel"
                )
            if value >= len(names):
                raise DatasetError(
                    f"{file.uri} has the label {value}, but names only "
                    f"{counted(len(names), 'class')}: "
                    f"{_few(names)}"
                )
            if self.labels is None and names[value] not in first:
                raise DatasetError(
                    f"{file.uri} has the class {names[value][:80]!r}, which {self.files[0].uri} "
                    f"does not have ({_few(names)} instead of {_few(first)}); map them with "
                    "dataset.labels, or read the files separately"
                )
            if self.labels is None:
                return value if names == first else first.index(names[value])
            value = names[value]
        try:
            return next(iter(table_labels([value], self.labels).values()))
        except ConfigError as error:
            raise type(error)(f"{file.uri}: {error}") from error


def open_parquet(
    source: str,
    labels: Labels | None,
    boxes: Boxes = NO_BOXES,
    *,
    image: str | None = None,
    label: str | None = None,
    separator: str | None = None,
    flags: Sequence[str] = (),
) -> ParquetSource:
    """Find the files and the columns; ``image`` and ``label`` override the usual column names.

    With a ``separator`` the label column holds several labels per row; ``flags`` are columns of 0
    and 1, one for each class.

    Raises
    ------
    ConfigError, DatasetError
        There are no files, they cannot be read, or they have no such columns.
    """
    left = Leftovers()
    root, files = find_files(source, SUFFIXES, lambda uri: left.add(OTHERS, uri))
    check_names(files)
    if not is_pattern(source):
        refuse_several_configs(source, [file.uri for file in files])
    first = files[0].uri
    schema = read_schema(location(root, first), first)
    own = flag_columns(schema.names, flags, first)
    named = None if own else label_column(schema, label, first)
    kind = None if named is None else schema.field(named).type
    columns = Columns(
        image=chosen_image_column(schema, image, first),
        label=named,
        split=find_column(schema.names, "split"),
        names=class_label(schema, named),
    )
    used = (columns.image, columns.label, columns.split, *own)
    what, others = unused(schema.names, used, columns.label or next(iter(own), None))
    for name in others:
        left.add(what, name)
    sets = sets_of(kind, separator, own, first)
    return ParquetSource(root, files, columns, labels, boxes, left.found, sets)


def read_schema(place: str, name: str) -> pa.Schema:
    """Return the Arrow schema of a Parquet file; DatasetError if it is not one."""
    with _opened(place, name) as file:
        return file.schema_arrow


@dataclass(frozen=True)
class _Group:
    """A row group: where its images lie in the file, and (label, split) of every row.

    ``empty`` is how many rows are known to have no image.
    """

    offset: int
    length: int
    empty: int
    values: list[tuple[Any, str | None]]


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:5])
    return f"{shown}, …" if len(names) > 5 else shown or "by numbers only"


def _rows(
    root: str, columns: Columns, flags: Sequence[str], file: File
) -> tuple[tuple[str, ...], list[_Group]]:
    """Return the names of a file's classes, and its row groups."""
    wanted = [name for name in (columns.label, columns.split, *flags) if name is not None]
    with _opened(location(root, file.uri), file.uri) as content:
        metadata = content.metadata
        place = _leaf(metadata, columns.image)
        if place is None or any(name not in content.schema_arrow.names for name in wanted):
            raise DatasetError(f"{file.uri} lacks columns that the other files have")
        groups = []
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            table = content.read_row_group(number, columns=wanted) if wanted else None
            nothing = [None] * group.num_rows
            labels = nothing
            if table and flags:
                labels = _set_in(table.select(flags), f"{file.uri}, row group {number}")
            elif table and columns.label:
                labels = table[columns.label].to_pylist()
            splits = table[columns.split].to_pylist() if table and columns.split else nothing
            chunk = group.column(place)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            values = [
                (v, None if s is None else str(s)) for v, s in zip(labels, splits, strict=True)
            ]
            known = chunk.statistics if chunk.is_stats_set else None
            empty = known.null_count if known and known.has_null_count else 0
            groups.append(_Group(start, chunk.total_compressed_size, empty, values))
        return class_label(content.schema_arrow, columns.label), groups


def _set_in(table: pa.Table, where: str) -> list[Any]:
    return [set_flags(row, f"{where}, row {n}") for n, row in enumerate(table.to_pylist())]


def _leaf(metadata: pq.FileMetaData, column: str) -> int | None:
    """Return the number of the stored column that holds the image's bytes."""
    schema = metadata.schema
    paths = [schema.column(number).path for number in range(len(schema.names))]
    return next((paths.index(p) for p in (f"{column}.bytes", column) if p in paths), None)


@contextmanager
def _opened(place: str, name: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; any failure is a DatasetError that names the file."""
    try:
        with open_file(place) as file, pq.ParquetFile(file) as content:
            yield content
    except (pa.ArrowException, OSError, BaseError) as error:
        raise DatasetError(f"cannot read {name} as Parquet: {first_line(error)}") from error
