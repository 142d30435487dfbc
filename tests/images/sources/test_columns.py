"""One answer to which column is the image and which the label, whatever kind of file it is."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError, FlowatlasError
from pipeline.images import open_source
from pipeline.images.sources.columns import LABEL_COLUMNS, chosen_image_column, label_column
from tests.images.archives import tar_of
from tests.images.indexed import indexed

KINDS = ["csv", "jsonl", "table", "parquet", "tar"]


def write(folder: Path, kind: str, column: str, value: object) -> str:
    """Write a dataset of one image with a column of this name; return its place."""
    (folder / "a.jpg").write_bytes(b"1")
    if kind == "csv":
        (folder / "t.csv").write_text(f"uri,{column}\na.jpg,{value}\n")
    elif kind == "jsonl":
        (folder / "t.jsonl").write_text(json.dumps({"uri": "a.jpg", column: value}) + "\n")
    elif kind == "tar":
        content = json.dumps({column: value}).encode()
        tar_of(folder / "t.tar", [("a.jpg", b"1"), ("a.json", content)])
    else:
        image = {"uri": ["a.jpg"]} if kind == "table" else {"image": [b"1"]}
        pq.write_table(pa.table({**image, column: [value]}), folder / "t.parquet")
    suffix = "parquet" if kind == "table" else kind
    return str(folder / f"t.{suffix}")


def labels(source: str, **fields: str) -> list[int | None]:
    opened = open_source(DatasetConfig.model_validate({"source": source, **fields}))
    return indexed(opened).rows["label"].to_pylist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", [*LABEL_COLUMNS, "Label", "CLASS", " label "])
def test_every_kind_knows_the_same_names(tmp_path: Path, kind: str, column: str) -> None:
    assert labels(write(tmp_path, kind, column, 7)) == [7]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_may_be_given_another_name(tmp_path: Path, kind: str) -> None:
    source = write(tmp_path, kind, "species", 7)
    assert labels(source) == [None]
    assert labels(source, label_column="species") == [7]


@pytest.mark.parametrize("kind", ["jsonl", "table", "parquet", "tar"])
def test_records_are_one_sentence_for_every_kind(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DatasetError, match=r"labels.*an image must have a class .*label_column"):
        labels(write(tmp_path, kind, "labels", {"a": 1}))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "table", "parquet"])
def test_columns_that_are_not_used_are_named(tmp_path: Path, kind: str) -> None:
    source = open_source(DatasetConfig(source=write(tmp_path, kind, "species", 7)))
    (left,) = indexed(source).index.leftovers
    assert "dataset.label_column" in left.what
    assert (left.count, left.names) == (1, ("species",))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "table", "parquet"])
@pytest.mark.parametrize("field", ["label_column", "image_column"])
def test_a_name_that_is_no_column_is_an_error(tmp_path: Path, kind: str, field: str) -> None:
    with pytest.raises(FlowatlasError, match="no column 'none'"):
        labels(write(tmp_path, kind, "label", 7), **{field: "none"})


def test_one_label_goes_before_a_list() -> None:
    schema = pa.schema([("labels", pa.list_(pa.int64())), ("target", pa.int64())])
    assert label_column(schema, None, "f") == "target"
    assert label_column(schema, "labels", "f") == "labels"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (pa.string(), "holds string, not the bytes of images; .*image_column: photo"),
        (pa.int64(), "holds int64, not the bytes"),
        (pa.list_(pa.struct([("bytes", pa.binary())])), "holds list"),
    ],
)
def test_a_column_without_bytes_is_no_image(kind: pa.DataType, message: str) -> None:
    schema = pa.schema([("x", kind), ("photo", pa.binary())])
    assert chosen_image_column(schema, None, "f") == "photo"
    with pytest.raises(ConfigError, match=message):
        chosen_image_column(schema, "x", "f")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([("scan", pa.binary())], "dataset.image_column: scan"),
        ([("scans", pa.list_(pa.binary()))], "column scans holds lists of images"),
        ([("id", pa.int64())], r"id \(int64\).*column of bytes, or .* column uri"),
    ],
)
def test_a_file_without_images_says_what_it_has(schema: list, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen_image_column(pa.schema(schema), None, "f")
