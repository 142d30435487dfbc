"""Tables of URIs."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DatasetError
from pipeline.files.root import Root
from pipeline.images.sources.leftovers import Leftover, Leftovers
from pipeline.images.sources.table import TableSource, open_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode() * ord(name))
    return tmp_path


def _open(
    folder: Path, content: str | pa.Table, labels: dict[str, int | None] | None = None
) -> TableSource:
    path = folder / ("t.csv" if isinstance(content, str) else "t.parquet")
    if isinstance(content, str):
        path.write_text(content)
    else:
        pq.write_table(content, path)
    return open_table(str(path), Root(str(folder)), labels)


def _rows(source: TableSource) -> list[tuple[str, int | None, str | None, int | None]]:
    return [
        (entry.uri, entry.label, entry.split, entry.length) for entry in source.scan(Leftovers())
    ]


def test_rows_keep_their_order_and_columns(folder: Path) -> None:
    source = _open(folder, "split,file,label\nval,c.jpg,2\n,a.jpg,\ntrain,b.jpg,0\n")
    assert _rows(source) == [
        ("c.jpg", 2, "val", 99),
        ("a.jpg", None, None, 97),
        ("b.jpg", 0, "train", 98),
    ]
    assert source.class_names == {}
    assert source.root == str(folder)


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([2, None], pa.int64()),
        ([2.0, float("nan")], pa.float64()),
        (["2", ""], pa.string()),
        ([2, -1], pa.int8()),
        (["2", None], pa.dictionary(pa.int8(), pa.string())),
    ],
)
def test_parquet_labels_of_any_type(folder: Path, values: list[object], type_: pa.DataType) -> None:
    table = pa.table({"path": ["a.jpg", "b.jpg"], "label": pa.array(values, type_)})
    assert [label for _, label, _, _ in _rows(_open(folder, table))] == [2, None]


def test_text_labels_are_names_in_order_or_mapped(folder: Path) -> None:
    text = "file,label\na.jpg,cat\nb.jpg,dog\n"
    assert [row[1] for row in _rows(_open(folder, text, {"cat": 5, "dog": None}))] == [5, None]
    assert _open(folder, text, {"cat": 5, "dog": None}).class_names == {5: "cat"}
    own = _open(folder, "file,label\na.jpg,dog\nb.jpg,\na.jpg,7\n")
    assert own.class_names == {0: "7", 1: "dog"}
    assert [row[1] for row in _rows(own)] == [1, None, 0]


def test_a_record_is_no_label(folder: Path) -> None:
    with pytest.raises(DatasetError, match="column label"):
        _open(folder, pa.table({"file": ["a.jpg"], "label": [{"class": 1}]}))


def test_missing_files_keep_their_row(folder: Path) -> None:
    assert _rows(_open(folder, "file\nnone.jpg\na.jpg\n")) == [
        ("none.jpg", None, None, None),
        ("a.jpg", None, None, 97),
    ]


def test_if_every_file_is_missing_the_root_is_wrong(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"none of the 2 files .*dataset\.root"):
        _rows(_open(folder, "file\nx/a.jpg\nx/b.jpg\n"))


def test_refused_uris_are_named_with_their_row(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"t\.csv, row 2: '\.\./\\x1b\[2J' is refused"):
        _rows(_open(folder, "file\na.jpg\n../\x1b[2J\n"))


def test_an_empty_table_is_an_error(folder: Path) -> None:
    with pytest.raises(DatasetError, match="has no rows"):
        _rows(_open(folder, "file,label\n"))


def test_paths_of_windows_are_read(folder: Path) -> None:
    (folder / "cat").mkdir()
    (folder / "cat/x.jpg").write_bytes(b"123")
    (folder / "b\\x.jpg").write_bytes(b"12")
    rows = _rows(_open(folder, "file\ncat\\x.jpg\nb\\x.jpg\n"))
    assert [(uri, size) for uri, _, _, size in rows] == [("cat/x.jpg", 3), ("b\\x.jpg", 2)]
    with pytest.raises(DatasetError, match=r"is refused: it is outside"):
        _rows(_open(folder, "file\n..\\..\\x.jpg\n"))
    with pytest.raises(DatasetError, match=r"backslashes.*dataset\.root"):
        _rows(_open(folder, "file\nC:\\set\\x.jpg\n"))


def test_columns_may_be_named(folder: Path) -> None:
    (folder / "t.csv").write_text("file,scan,label,kind\nno,a.jpg,1,2\n")
    root = Root(str(folder))
    source = open_table(str(folder / "t.csv"), root, None, image="scan", label="kind")
    assert _rows(source) == [("a.jpg", 2, None, 97)]
    table = pa.table({"file": ["a.jpg"], "n": [1]})
    pq.write_table(table, folder / "t.parquet")
    with pytest.raises(DatasetError, match="column n must be text"):
        open_table(str(folder / "t.parquet"), root, None, image="n")


def test_a_folder_of_tables_is_one_dataset(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / split).mkdir()
        (folder / split / "a.jpg").write_bytes(split.encode())
        (folder / split / "METADATA.csv").write_text("file_name,label\na.jpg,1\n")
        (folder / split / "notes.csv").write_text("x\n1\n")
    left = Leftovers()
    source = open_table(str(folder), Root(str(folder)), None)
    found = [(entry.uri, entry.label, entry.split) for entry in source.scan(left)]
    assert found == [("test/a.jpg", 1, "test"), ("train/a.jpg", 1, "train")]
    notes = ("test/notes.csv", "train/notes.csv")
    assert Leftover("tables beside metadata", 2, notes) in left.found
    together = open_table(str(folder), Root(str(folder / "train")), None, own_folders=False)
    assert [entry.uri for entry in together.scan(left)] == ["a.jpg", "a.jpg"]
