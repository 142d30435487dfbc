"""CSV and Parquet tables, read in batches: the columns of an index or of its boxes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from obstore.exceptions import BaseError

from pipeline.errors import DatasetError, first_line
from pipeline.files.places import look_at, open_file

URI_COLUMNS = ("uri", "file", "path", "filename", "image")
SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")

_BATCH = 65_536


class Table:
    """A CSV (``.csv``, ``.tsv``) or Parquet file.

    Columns are found by name in any case. Values of CSV files are text; nothing is guessed from
    their looks, so a file named ``007`` or ``NA`` stays that.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._parquet = Path(path).suffix.lower() in (".parquet", ".pq")
        if look_at(path) in ("folder", "missing"):
            raise DatasetError(f"there is no table {path}; check dataset.source and dataset.boxes")
        self._columns = {name.casefold(): name for name in reversed(self._names())}

    def column(self, *names: str) -> str | None:
        """Return the first of ``names`` that is a column, as the file spells it."""
        return next((self._columns[name] for name in names if name in self._columns), None)

    def uri_column(self) -> str:
        """Return the column that holds the URIs.

        Raises
        ------
        DatasetError
            There is none.
        """
        column = self.column(*URI_COLUMNS)
        if column is None:
            raise DatasetError(
                f"{self.path} has no column of URIs: name one of its columns "
                f"{', '.join(URI_COLUMNS[:-1])} or {URI_COLUMNS[-1]}"
            )
        return column

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read some columns, 65,536 rows or about 4 MiB at a time.

        Raises
        ------
        DatasetError
            The file is damaged or not text in UTF-8.
        """
        try:
            if self._parquet:
                with open_file(self.path) as opened, pa.parquet.ParquetFile(opened) as file:
                    yield from file.iter_batches(_BATCH, columns=list(columns))
            else:
                with self._csv(columns) as reader:
                    yield from reader
        except (pa.ArrowException, OSError, BaseError) as error:
            raise self._damaged(error) from error

    def texts(self, column: pa.Array, name: str) -> pa.Array:
        """Return a column as text.

        Raises
        ------
        DatasetError
            It holds something that has no plain text, such as lists or bytes.
        """
        try:
            return column.cast(pa.string())
        except pa.ArrowException as error:
            raise DatasetError(
                f"{self.path}: column {name} must be text, not {column.type}: {error}"
            ) from error

    def _names(self) -> list[str]:
        try:
            if self._parquet:
                with open_file(self.path) as opened:
                    return list(pa.parquet.read_schema(opened).names)
            with self._csv(None) as reader:
                return list(reader.schema.names)
        except (pa.ArrowException, OSError, BaseError) as error:
            raise self._damaged(error) from error

    def _csv(self, columns: Sequence[str] | None) -> pa.csv.CSVStreamingReader:
        texts = {name: pa.string() for name in columns or ()}
        return pa.csv.open_csv(
            open_file(self.path),
            read_options=pa.csv.ReadOptions(block_size=4 << 20),
            parse_options=pa.csv.ParseOptions(
                delimiter="\t" if self.path.lower().endswith(".tsv") else ",",
                newlines_in_values=True,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=texts, include_columns=list(texts), strings_can_be_null=False
            ),
        )

    def _damaged(self, error: Exception) -> DatasetError:
        return DatasetError(f"cannot read the table {self.path}: {first_line(error)}")
