"""CSV, JSON-lines and Parquet tables, read in batches: the columns of an index or of its boxes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from obstore.exceptions import BaseError

from pipeline.errors import DatasetError, first_line
from pipeline.files.dialect import refuse_open_quotes, separator_of
from pipeline.files.places import look_at, open_file

URI_COLUMNS = ("uri", "file", "path", "filename", "image", "file_name", "filepath", "file_path",
               "image_path", "img_path", "image_file")  # fmt: skip
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".pq")

_BATCH = 65_536


class Table:
    """A CSV (``.csv``, ``.tsv``), JSON-lines (``.jsonl``) or Parquet file.

    Columns are found by name, case-insensitively and without surrounding spaces; where a name in
    the header has such spaces (``uri, label``), they are stripped from its values too. Values of
    CSV files are text; types are not inferred, so a file named ``007`` or ``NA`` keeps its name.
    ``schema`` has the columns as the file spells them.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._kind = Path(path).suffix.lower()
        if look_at(path) in ("folder", "missing"):
            raise DatasetError(f"there is no table {path}; check dataset.source and dataset.boxes")
        with self._readable():
            self._separator = "," if self._columnar else separator_of(path)
            if not self._columnar:
                refuse_open_quotes(path, self._separator)
            self.schema = self._schema()

    @property
    def names(self) -> list[str]:
        """The columns, as the file spells them."""
        return list(self.schema.names)

    def column(self, *names: str) -> str | None:
        """Return the first of ``names`` that is a column, as the file spells it."""
        return find_column(self.names, *names)

    def uri_column(self, name: str | None = None) -> str:
        """Return the column that holds the URIs: ``name``, or the first of a usual name.

        Raises
        ------
        DatasetError
            There is none; the message lists the columns.
        """
        column = self.column(*((name,) if name else URI_COLUMNS))
        if column is None and name:
            raise DatasetError(f"{self.path} has no column {name!r}, only {_quoted(self.names)}")
        if column is None:
            raise DatasetError(
                f"{self.path} has no column of image paths, only {_quoted(self.names)}: "
                f"rename one to {', '.join(URI_COLUMNS[:4])} or {URI_COLUMNS[4]}"
            )
        return column

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read some columns, 65,536 rows or about 4 MiB at a time.

        Raises
        ------
        DatasetError
            The file is damaged or not UTF-8 text.
        """
        with self._readable():
            for batch in self._batches(columns):
                yield _stripped(batch)

    def texts(self, column: pa.Array, name: str) -> pa.Array:
        """Return a column as text.

        Raises
        ------
        DatasetError
            It has values that are not plain text, such as lists or bytes.
        """
        try:
            return column.cast(pa.string())
        except pa.ArrowException as error:
            raise DatasetError(
                f"{self.path}: column {name} must be text, not {column.type}: {error}"
            ) from error

    @property
    def _columnar(self) -> bool:
        return self._kind in (".parquet", ".pq", ".jsonl")

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        if self._kind == ".jsonl":
            with pa.json.open_json(open_file(self.path)) as lines:
                yield from (batch.select(list(columns)) for batch in lines)
        elif self._columnar:
            with open_file(self.path) as opened, pa.parquet.ParquetFile(opened) as file:
                yield from file.iter_batches(_BATCH, columns=list(columns))
        else:
            with self._csv(columns) as reader:
                yield from reader

    def _schema(self) -> pa.Schema:
        if self._kind == ".jsonl":
            with pa.json.open_json(open_file(self.path)) as lines:
                return lines.schema
        if self._columnar:
            with open_file(self.path) as opened:
                return pa.parquet.read_schema(opened)
        with self._csv(None) as reader:
            return pa.schema([(name, pa.string()) for name in reader.schema.names])

    def _csv(self, columns: Sequence[str] | None) -> pa.csv.CSVStreamingReader:
        texts = {name: pa.string() for name in columns or ()}
        return pa.csv.open_csv(
            open_file(self.path),
            read_options=pa.csv.ReadOptions(block_size=4 << 20),
            parse_options=pa.csv.ParseOptions(delimiter=self._separator, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=texts, include_columns=list(texts), strings_can_be_null=False
            ),
        )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, BaseError) as error:
            raise DatasetError(f"cannot read the table {self.path}: {first_line(error)}") from error


def find_column(names: Sequence[str], *wanted: str) -> str | None:
    """Return the first of ``wanted`` that is among ``names``, as it is spelled there.

    An exact match first, else one that differs in case or surrounding spaces only.
    """
    folded = {name.strip().casefold(): name for name in reversed(names)}
    for name in wanted:
        if name in names:
            return name
        if (found := folded.get(name.strip().casefold())) is not None:
            return found
    return None


def _stripped(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Strip the texts of columns whose names are surrounded by spaces."""
    for place, field in enumerate(batch.schema):
        if field.name != field.name.strip() and pa.types.is_string(field.type):
            trimmed = pc.utf8_trim_whitespace(batch.column(place))
            batch = batch.set_column(place, field, trimmed)
    return batch


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")
