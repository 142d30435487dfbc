"""The configuration's dataset becomes a source."""

import json
from pathlib import Path

import pytest

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError
from pipeline.images import open_source
from pipeline.images.sources.folder import FolderSource
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.table import TableSource
from tests.images.gallery import class_folders
from tests.images.indexed import indexed


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "images")


def test_auto_tells_folders_from_tables(images: Path) -> None:
    table = images.parent / "t.CSV"
    table.write_text("file\nimages/cat/0.jpg\n")
    assert isinstance(open_source(DatasetConfig(source=str(images))), FolderSource)
    source = open_source(DatasetConfig(source=str(table)))
    assert isinstance(source, TableSource)
    assert [entry.uri for entry in source.scan(Leftovers())] == ["images/cat/0.jpg"]


def test_a_table_may_have_its_root_elsewhere(images: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("file\ncat/0.jpg\n")
    source = open_source(DatasetConfig(source=str(table), root=str(images)))
    assert [entry.uri for entry in source.scan(Leftovers())] == ["cat/0.jpg"]
    assert source.root == str(images)


def test_labels_and_boxes_come_along(images: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(json.dumps({"cat": 281, "dog": 207}))
    (tmp_path / "boxes.csv").write_text("path,x0,y0,x1,y1\ndog/1.jpg,1,2,3,4\ndog/1.jpg,0,0,5,5\n")
    source = open_source(
        DatasetConfig(
            source=str(images),
            labels=str(tmp_path / "labels.json"),
            boxes=str(tmp_path / "boxes.csv"),
        )
    )
    found = {entry.uri: (entry.label, entry.boxes) for entry in source.scan(Leftovers())}
    assert found["dog/1.jpg"] == (207, ((1, 2, 3, 4), (0, 0, 5, 5)))
    assert found["cat/1.jpg"] == (281, ())
    assert source.class_names == {207: "dog", 281: "cat"}


def test_boxes_of_files_that_are_not_there_fail_the_index(images: Path, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("path,x0,y0,x1,y1\n1.jpg,1,2,3,4\n")
    source = open_source(DatasetConfig(source=str(images), boxes=str(tmp_path / "boxes.csv")))
    with pytest.raises(DatasetError, match=r"1 box belongs to 1 file .*'1\.jpg'"):
        indexed(source)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"source": "{}/none"}, DatasetError, "there is no .*none"),
        ({"source": "{}/cat/0.jpg"}, ConfigError, "neither a folder nor a"),
        ({"source": "{}/val.tar.gz"}, ConfigError, "decompress it to .tar"),
        (
            {"source": "{}", "image_column": "a"},
            ConfigError,
            "labels of a folder are the names of its subfolders",
        ),
        ({"source": "{}/t.csv", "kind": "parquet"}, ConfigError, "set dataset.kind to table"),
        ({"source": "{}", "root": "/"}, ConfigError, "not for a folder dataset"),
        ({"source": "{}", "labels": "{}/none.json"}, ConfigError, r"none\.json"),
        ({"source": "{}", "boxes": "{}/none.csv"}, DatasetError, r"none\.csv"),
        ({"source": "{}/t.csv", "root": "{}/none"}, ConfigError, "dataset.root .*none"),
    ],
)
def test_wrong_configurations_say_what_to_do(
    images: Path, fields: dict[str, str], error: type[Exception], message: str
) -> None:
    (images / "t.csv").write_text("file\ncat/0.jpg\n")
    filled = {name: value.format(images) for name, value in fields.items()}
    with pytest.raises(error, match=message):
        open_source(DatasetConfig.model_validate(filled))


@pytest.mark.photographs
def test_real_boxes_find_their_photographs(photographs: Path) -> None:
    folder = photographs / "imagenet_val_1300"
    index = indexed(
        open_source(
            DatasetConfig(
                source=str(folder / "labels.csv"),
                root=str(folder / "images"),
                boxes=str(folder / "boxes.csv"),
            )
        )
    )
    assert (index.rows.num_rows, index.boxes.num_rows) == (1300, 1943)
    assert set(index.boxes["row"].to_pylist()) == set(range(1300))
    assert index.rows["length"].null_count == 0
