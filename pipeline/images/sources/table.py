"""A table of image URIs, with labels and splits where it has them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.errors import DatasetError
from pipeline.files.root import Root
from pipeline.files.tabular import Table
from pipeline.files.urls import shown
from pipeline.images.sources.boxes import NO_BOXES, Boxes
from pipeline.images.sources.labels import Labels, class_names, table_labels
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.source import Entry

_LOOKED_AT = 16


@dataclass(frozen=True)
class TableSource:
    """Images in order of a table's rows.

    Files that are missing keep their row (with no length): they are quarantined when they are
    fetched. If every one is missing the root is wrong and the scan says so; of objects, which have
    no length here, the first 16 are looked at.
    """

    table: Table
    base: Root
    labels: dict[Any, int | None]
    class_names: dict[int, str]
    boxes: Boxes = field(repr=False)

    @property
    def root(self) -> str:
        """The folder that relative URIs are relative to."""
        return self.base.path

    def listing(self) -> None:
        """Nothing is cheaper than to look at every file."""

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """Yield the images in order of the table."""
        uri_column = self.table.uri_column()
        label_column, split_column = self.table.column("label"), self.table.column("split")
        columns = [name for name in (uri_column, label_column, split_column) if name]
        rows = found = 0
        objects: list[str] = []
        for batch in self.table.batches(columns):
            uris = self._texts(batch, uri_column)
            labels = batch.column(label_column).to_pylist() if label_column else [None] * len(uris)
            splits = self._texts(batch, split_column) if split_column else [None] * len(uris)
            for uri, value, split in zip(uris, labels, splits, strict=True):
                rows += 1
                placed = self._placed(uri, rows)
                size = self.base.size(placed)
                found += size is not None
                if len(objects) < _LOOKED_AT and self.base.is_object(placed):
                    objects.append(placed)
                label = self.labels[value] if value == value else None
                yield Entry(placed, None, size, label, split or None, self.boxes.of(placed, label))
        if not rows:
            raise DatasetError(f"the table {self.table.path} has no rows")
        if not found and not any(map(self.base.there, objects)):
            raise DatasetError(
                f"none of the {rows} files of {self.table.path} exists below {self.root}; "
                "set dataset.root to the folder that its URIs are relative to"
            )
        self.boxes.check_all_used()

    def _texts(self, batch: pa.RecordBatch, name: str) -> list[str | None]:
        texts: list[str | None] = self.table.texts(batch.column(name), name).to_pylist()
        return texts

    def _placed(self, uri: str | None, row: int) -> str:
        try:
            return self.base.place(uri or "")
        except DatasetError as error:
            told = shown(uri or "")[:200]
            raise DatasetError(
                f"{self.table.path}, row {row}: {told!r} is refused: {error}"
            ) from error


def open_table(
    path: str, root: Root, labels: Labels | None, boxes: Boxes = NO_BOXES
) -> TableSource:
    """Look at a table's columns and at the distinct values of its label column.

    Raises
    ------
    DatasetError, ConfigError
        The table cannot be read, has no URI column, or has labels that mean nothing.
    """
    table = Table(path)
    table.uri_column()
    values: set[Any] = {None}
    if column := table.column("label"):
        for batch in table.batches([column]):
            if pa.types.is_nested(batch.column(0).type):
                raise DatasetError(f"{path}: column {column} must be one class index or name each")
            values.update(batch.column(0).unique().to_pylist())
    names = {} if labels is None else class_names(labels)
    return TableSource(table, root, table_labels(values, labels), names, boxes)
