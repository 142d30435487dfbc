"""Parquet files with images become rows; the images are read by row group."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError
from pipeline.images import open_source
from pipeline.images.fetch import Fetcher
from pipeline.images.sources.parquet import ParquetSource, open_parquet
from pipeline.images.sources.table import TableSource
from tests.images.archives import parquet_of
from tests.images.indexed import indexed


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number, split in enumerate(("test", "train")):
        images = [b"image %d %d" % (number, n) for n in range(10)]
        path = tmp_path / f"data/{split}-00000-of-00001.parquet"
        parquet_of(path, images, [n % 3 for n in range(10)], ("cat", "<b>dog", "eel"))
    return tmp_path


@pytest.mark.parametrize("source", ["{}", "{}/data", "{}/data/*.parquet", "{}/**-of-*.parquet"])
def test_every_way_to_name_them_gives_the_same_images(files: Path, source: str) -> None:
    opened = open_source(DatasetConfig(source=source.format(files)))
    assert isinstance(opened, ParquetSource)
    assert opened.class_names == {0: "cat", 1: "<b>dog", 2: "eel"}
    rows = indexed(opened).rows
    assert rows["uri"].to_pylist()[5].endswith("test-00000-of-00001.parquet#1/1/image")
    assert rows["label"].to_pylist() == [n % 3 for n in range(10)] * 2
    assert rows["split"].to_pylist() == ["test"] * 10 + ["train"] * 10
    fetcher = Fetcher(opened.root)
    for number, row in enumerate(rows.to_pylist()):
        content = fetcher.fetch(row["uri"], row["offset"], row["length"])
        assert content == b"image %d %d" % divmod(number, 10)


def test_one_file_is_distinguished_from_a_table(files: Path, tmp_path: Path) -> None:
    one = str(files / "data/test-00000-of-00001.parquet")
    assert isinstance(open_source(DatasetConfig(source=one)), ParquetSource)
    (tmp_path / "a.jpg").write_bytes(b"1")
    pq.write_table(pa.table({"uri": ["a.jpg"]}), tmp_path / "t.parquet")
    assert isinstance(open_source(DatasetConfig(source=str(tmp_path / "t.parquet"))), TableSource)


def test_labels_map_names_to_the_model(files: Path) -> None:
    source = open_parquet(str(files), {"cat": 281, "<b>dog": 207, "eel": None})
    assert set(indexed(source).rows["label"].to_pylist()) == {281, 207, None}
    assert source.class_names == {207: "<b>dog", 281: "cat"}
    with pytest.raises(ConfigError, match=r"test-00000.*'eel'"):
        indexed(open_parquet(str(files), {"cat": 281, "<b>dog": 207}))


def test_files_that_number_their_classes_otherwise_are_read_by_name(tmp_path: Path) -> None:
    parquet_of(tmp_path / "0.parquet", [b"1"] * 3, [0, 1, 2], ("cat", "dog", "eel"))
    parquet_of(tmp_path / "1.parquet", [b"1"] * 3, [0, 1, -1], ("eel", "cat"))
    parquet_of(tmp_path / "2.parquet", [b"1"] * 3, [0, 1, 2], ("cat", "dog", "eel"))
    labels = indexed(open_parquet(str(tmp_path), None)).rows["label"].to_pylist()
    assert labels == [0, 1, 2, 2, 0, None, 0, 1, 2]
    mapped = open_parquet(str(tmp_path), {"cat": 5, "dog": 6, "eel": 7})
    assert indexed(mapped).rows["label"].to_pylist() == [5, 6, 7, 7, 5, None, 5, 6, 7]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (("cat", "fox"), r"1\.parquet has the class 'fox'.*'cat', 'fox' instead of 'cat', 'dog'"),
        ((), r"'cat', 'dog', but 1\.parquet by numbers only"),
        (("cat",), r"1\.parquet has the label 1, but names only 1 class: 'cat'"),
    ],
)
def test_files_whose_classes_cannot_be_joined_are_refused(
    tmp_path: Path, second: tuple[str, ...], said: str
) -> None:
    parquet_of(tmp_path / "0.parquet", [b"1"] * 2, [0, 1], ("cat", "dog"))
    parquet_of(tmp_path / "1.parquet", [b"1"] * 2, [0, 1], second)
    with pytest.raises(DatasetError, match=said):
        indexed(open_parquet(str(tmp_path), None))


def test_unusual_columns_can_be_named(tmp_path: Path) -> None:
    table = pa.table({"scan": [b"1", b"2"], "image": ["no", "no"], "kind": [4, 5]})
    pq.write_table(table, tmp_path / "t.parquet")
    fields = {"source": str(tmp_path), "image_column": "scan", "label_column": "kind"}
    source = open_source(DatasetConfig.model_validate(fields))
    rows = indexed(source).rows.to_pylist()
    assert [row["label"] for row in rows] == [4, 5]
    found = [Fetcher(source.root).fetch(r["uri"], r["offset"], r["length"]) for r in rows]
    assert found == [b"1", b"2"]
    with pytest.raises(ConfigError, match=r"dataset\.image_column"):
        open_parquet(str(tmp_path), None)
    with pytest.raises(ConfigError, match="'none'"):
        open_parquet(str(tmp_path), None, image="none")


def test_an_image_that_is_null_is_missing(tmp_path: Path) -> None:
    parquet_of(tmp_path / "a.parquet", [b"1", None], [0, 0])
    source = open_parquet(str(tmp_path), None)
    row = indexed(source).rows.to_pylist()[1]
    with pytest.raises(FileNotFoundError):
        Fetcher(source.root).fetch(row["uri"], row["offset"], row["length"])


def test_damaged_files_are_named(files: Path) -> None:
    path = files / "data/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"train-00000-of-00001\.parquet as Parquet"):
        indexed(open_parquet(str(files), None))


def test_another_file_of_the_same_rows_is_another_dataset(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    before = indexed(open_parquet(str(parquet_of(path, [b"a" * 50], [0])), None)).index
    after = indexed(open_parquet(str(parquet_of(path, [b"a"], [0])), None)).index
    assert before.fingerprint != after.fingerprint


def test_suffixes_in_capitals_are_read(tmp_path: Path) -> None:
    parquet_of(tmp_path / "TRAIN.PARQUET", [b"1"], [0])
    for place in (tmp_path, tmp_path / "TRAIN.PARQUET"):
        source = open_source(DatasetConfig(source=str(place)))
        (row,) = indexed(source).rows.to_pylist()
        assert row["split"] == "train"
        assert Fetcher(source.root).fetch(row["uri"], row["offset"], row["length"]) == b"1"


def test_one_file_may_name_its_image_column(tmp_path: Path) -> None:
    table = pa.table({"scan": [b"1"], "path": ["a.jpg"], "label": [3]})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path)
    for fields in ({"image_column": "scan"}, {"image_column": "scan", "kind": "parquet"}):
        source = open_source(DatasetConfig.model_validate({"source": str(path), **fields}))
        assert indexed(source).rows["uri"].to_pylist() == ["t.parquet#0/0/scan"]
    (tmp_path / "a.jpg").write_bytes(b"1")
    as_table = open_source(DatasetConfig(source=str(path), image_column="path"))
    assert isinstance(as_table, TableSource)


def test_a_column_of_paths_alone_is_an_error(tmp_path: Path) -> None:
    parquet_of(tmp_path / "a.parquet", [None, None], [0, 0])
    with pytest.raises(DatasetError, match="holds no bytes in any row"):
        indexed(open_parquet(str(tmp_path), None))


def test_hugging_faces_folders_are_splits_and_configurations(tmp_path: Path) -> None:
    for split in ("train", "test"):
        parquet_of(tmp_path / f"default/{split}/0000.parquet", [b"1"], [0])
    (tmp_path / "README.md").touch()
    found = indexed(open_source(DatasetConfig(source=str(tmp_path))))
    assert found.rows["split"].to_pylist() == ["test", "train"]
    assert [one.names for one in found.index.leftovers] == [("README.md",)]
    parquet_of(tmp_path / "tiny/train/0000.parquet", [b"1"], [0])
    with pytest.raises(ConfigError, match=r"2 configurations \(default, tiny\)"):
        open_source(DatasetConfig(source=str(tmp_path)))
    assert indexed(open_source(DatasetConfig(source=f"{tmp_path}/**.parquet"))).index.rows == 3
