"""CSV and Parquet tables are read as they are written."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DatasetError
from pipeline.files.tabular import URI_COLUMNS, Table, find_column


def _write(path: Path, text: str) -> Table:
    path.write_text(text, encoding="utf-8")
    return Table(str(path))


@pytest.mark.parametrize("column", [*URI_COLUMNS, "Path", "IMAGE"])
def test_the_uri_column_is_found(tmp_path: Path, column: str) -> None:
    assert _write(tmp_path / "t.csv", f"id,{column},label\n1,a.jpg,2\n").uri_column() == column


def test_the_most_telling_uri_column_wins(tmp_path: Path) -> None:
    assert _write(tmp_path / "t.csv", "image,path\n1,a.jpg\n").uri_column() == "path"


def test_a_table_without_uris_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="uri, file, path, filename or image"):
        _write(tmp_path / "t.csv", "id,label\n1,2\n").uri_column()


def test_csv_values_stay_text(tmp_path: Path) -> None:
    table = _write(tmp_path / "t.csv", '﻿file,label\n007,1\nNA,\n"a\nb,c",x\n')
    rows = pa.Table.from_batches(table.batches(["label", "file"])).to_pylist()
    assert [row["file"] for row in rows] == ["007", "NA", "a\nb,c"]
    assert [row["label"] for row in rows] == ["1", "", "x"]


def test_tabs_separate_a_tsv(tmp_path: Path) -> None:
    table = _write(tmp_path / "t.tsv", "file\tlabel\na,b.jpg\t1\n")
    assert next(table.batches(["file"])).to_pylist() == [{"file": "a,b.jpg"}]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_long_tables_keep_their_order(tmp_path: Path, suffix: str) -> None:
    names = [f"{number * 7919 % 150_001:06d}-{'x' * 30}.jpg" for number in range(150_000)]
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        path.write_text("file\n" + "\n".join(names))
    else:
        pq.write_table(pa.table({"file": names}), path)
    batches = list(Table(str(path)).batches(["file"]))
    assert len(batches) > 1
    assert [name for batch in batches for name in batch.column(0).to_pylist()] == names


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.csv", b""), ("t.csv", b"file\n\xff\xfe\n"), ("t.csv", b"file,label\na\n"), ("t.pq", b"x")],
)
def test_damaged_tables_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"cannot read the table .*{name}"):
        list(Table(str(tmp_path / name)).batches(["file"]))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no table .*none\.csv"):
        Table(str(tmp_path / "none.csv"))


def test_pictures_are_no_uris(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [{"bytes": b"x", "path": "a"}]}), tmp_path / "t.parquet")
    table = Table(str(tmp_path / "t.parquet"))
    with pytest.raises(DatasetError, match="column image must be text"):
        table.texts(next(table.batches(["image"])).column(0), "image")


def test_spaces_around_a_columns_name_are_no_part_of_it_or_its_texts(tmp_path: Path) -> None:
    table = _write(tmp_path / "t.csv", " uri , label,x\n a.jpg , 0, y\n")
    uri, label = table.uri_column(), table.column("label")
    assert (uri, label) == (" uri ", " label")
    rows = pa.Table.from_batches(table.batches([uri, label, "x"])).to_pylist()
    assert rows == [{" uri ": "a.jpg", " label": "0", "x": " y"}]


def test_a_name_as_it_is_written_goes_before_the_same_in_other_letters() -> None:
    assert find_column(["Label", "label"], "label") == "label"
    assert find_column(["LABEL ", "x"], "y", "label") == "LABEL "
    assert find_column(["a"], "b") is None


def test_lines_of_json_are_a_table(tmp_path: Path) -> None:
    table = _write(tmp_path / "t.jsonl", '{"file_name": "007", "label": 1}\n{"file_name": "b"}\n')
    assert table.uri_column() == "file_name"
    rows = pa.Table.from_batches(table.batches(["label", "file_name"])).to_pylist()
    assert rows == [{"label": 1, "file_name": "007"}, {"label": None, "file_name": "b"}]


def test_other_separators_are_read(tmp_path: Path) -> None:
    table = _write(tmp_path / "t.csv", "file;label\na,b.jpg;1\n")
    assert next(table.batches(["file"])).to_pylist() == [{"file": "a,b.jpg"}]


def test_an_open_quote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="line 2"):
        _write(tmp_path / "t.csv", 'file,x\na,"b\nc,d\n')
