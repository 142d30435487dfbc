"""What lies in a folder says its kind, or is a choice."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError
from pipeline.images.sources.layout import kind_of
from tests.images.archives import parquet_of, samples, tar_of


def write(root: Path, *names: str) -> None:
    """Write files of the kinds that their names say."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".tar"):
            tar_of(path, samples([b"1"], [0]))
        elif name.endswith("metadata.parquet"):
            pq.write_table(pa.table({"file_name": ["a.jpg"]}), path)
        elif name.endswith(".parquet"):
            parquet_of(path, [b"1"], [0])
        elif name.endswith("metadata.csv"):
            path.write_text("file_name,label\n1.jpg,0\n")
        else:
            path.write_bytes(b"1")


def kind(root: Path, wanted: str = "auto") -> str:
    return kind_of(str(root), DatasetConfig.model_validate({"source": str(root), "kind": wanted}))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["cat/1.jpg"], "folder"),
        (["1.jpg"], "folder"),
        (["cat/1.jpg", "cat/old.tar", "cat/x.parquet"], "folder"),
        (["0.tar", "1.jpg", "logs/x.txt"], "webdataset"),
        (["train/0.tar", "val/0.tar", "README.md"], "webdataset"),
        (["data/train-0.parquet", "README.md"], "parquet"),
        (["default/train/0000.parquet"], "parquet"),
        (["metadata.csv", "1.jpg"], "table"),
        (["metadata.csv", "images/1.jpg"], "table"),
        (["metadata.parquet", "images/1.jpg"], "table"),
        (["train/metadata.csv", "train/1.jpg", "test/metadata.csv", "test/1.jpg"], "table"),
        (["metadata.csv", "cat/1.jpg", "dog/1.jpg"], "folder"),
    ],
)
def test_a_folder_says_its_kind(tmp_path: Path, names: list[str], found: str) -> None:
    write(tmp_path, *names)
    assert kind(tmp_path) == found


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (["train/cat/1.jpg", "train.tar"], ["webdataset", "folder"]),
        (["cat/1.jpg", "dog/1.jpg", "x.parquet"], ["parquet", "folder"]),
        (["cat/1.jpg", "dog/1.jpg", "metadata.parquet"], ["table", "folder"]),
        (["0.tar", "0.parquet"], ["webdataset", "parquet"]),
        (["train/0.tar", "train/0.parquet"], ["webdataset", "parquet"]),
    ],
)
def test_several_kinds_are_a_choice(tmp_path: Path, names: list[str], kinds: list[str]) -> None:
    write(tmp_path, *names)
    with pytest.raises(ConfigError, match=f"dataset.kind: {' or '.join(kinds)}"):
        kind(tmp_path)
    assert [kind(tmp_path, one) for one in kinds] == kinds


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a/0.tar.gz", "a/1.tgz", "a/2.tar.gz"], r"2 \.tar\.gz, 1 \.tgz; unpack .* \.tar"),
        (["images.zip"], r"1 \.zip; unpack"),
        (["labels.csv", "x/y.txt"], r"1 \.csv.*dataset\.source to its file"),
        ([".hidden/1.jpg"], "no files"),
    ],
)
def test_a_folder_of_nothing_says_what_is_there(
    tmp_path: Path, names: list[str], message: str
) -> None:
    write(tmp_path, *names)
    with pytest.raises(DatasetError, match=f"no images below .*{message}"):
        kind(tmp_path)
