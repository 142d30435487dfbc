"""Images with several labels as rows, each an image and an output."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError
from pipeline.images import Pairs, Source, open_source
from tests.images.archives import tar_of
from tests.images.indexed import indexed

LABELS = [[2, 0], [], [1], None]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Four images with 2, 0, 1 and unknown labels."""
    table = pa.table({"image": [b"1"] * 4, "labels": LABELS})
    pq.write_table(table, tmp_path / "t.parquet")
    return open_source(DatasetConfig(source=str(tmp_path / "t.parquet")))


def test_a_row_for_each_label_and_one_without(source: Source) -> None:
    found = indexed(source, Pairs())
    assert found.rows["row"].to_pylist() == [0, 1, 2, 3, 4]
    assert found.rows["image"].to_pylist() == [0, 0, 1, 2, 3]
    assert found.rows["label"].to_pylist() == [0, 2, None, 1, None]
    assert found.rows["labels"].to_pylist() == [[0, 2], [0, 2], [], [1], None]
    index = found.index
    assert (index.rows, index.images, index.labels, index.labelled) == (5, 4, 3, 3)
    assert index.highest_label == 2


def test_as_many_rows_as_outputs_are_explained(source: Source) -> None:
    found = indexed(source, Pairs(3))
    assert found.rows["image"].to_pylist() == [n for n in range(4) for _ in range(3)]
    assert set(found.rows["label"].to_pylist()) == {None}
    assert (found.index.images, found.index.labels) == (4, 3)


def test_the_fingerprint_knows_all_labels(tmp_path: Path, source: Source) -> None:
    before = indexed(source, Pairs(1)).index.fingerprint
    assert indexed(source, Pairs(1)).index.fingerprint == before
    other = pa.table({"image": [b"1"] * 4, "labels": [[2, 1], [], [1], None]})
    pq.write_table(other, tmp_path / "t.parquet")
    changed = open_source(DatasetConfig(source=str(tmp_path / "t.parquet")))
    assert indexed(changed, Pairs(1)).index.fingerprint != before


def test_several_labels_are_refused_for_one_answer(source: Source) -> None:
    with pytest.raises(ConfigError, match=r"2 labels \(outputs 0, 2\).*model.output: sigmoid"):
        indexed(source)


def test_lists_of_one_label_are_one_label(tmp_path: Path) -> None:
    members = []
    for n, labels in enumerate([[3], [], [1]]):
        content = json.dumps({"labels": labels}).encode()
        members += [(f"{n}.jpg", b"1"), (f"{n}.json", content)]
    place = str(tar_of(tmp_path / "t.tar", members))
    found = indexed(open_source(DatasetConfig(source=place)))
    assert found.rows["label"].to_pylist() == [3, None, 1]
    assert "image" not in found.rows.column_names
    assert found.index.images is None


def test_single_labels_stay_rows_of_images(tmp_path: Path) -> None:
    table = pa.table({"image": [b"1", b"1"], "label": [1, 0]})
    pq.write_table(table, tmp_path / "t.parquet")
    place = DatasetConfig(source=str(tmp_path / "t.parquet"))
    plain, asked = (indexed(open_source(place), pairs) for pairs in (None, Pairs()))
    assert plain.rows.equals(asked.rows)
    assert plain.index == asked.index


def test_boxes_keep_their_labels(tmp_path: Path) -> None:
    table = pa.table({"uri": ["a.jpg", "b.jpg"], "labels": [["cat", "dog"], ["dog"]]})
    pq.write_table(table, tmp_path / "t.parquet")
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "boxes.csv").write_text(
        "uri,x0,y0,x1,y1,label\na.jpg,0,0,9,9,cat\na.jpg,1,1,5,5,dog\nb.jpg,2,2,3,3,\n"
    )
    dataset = DatasetConfig(source=str(tmp_path / "t.parquet"), boxes=str(tmp_path / "boxes.csv"))
    found = indexed(open_source(dataset, {"cat": 7, "dog": 8}), Pairs())
    assert found.boxes["row"].to_pylist() == [0, 0, 1, 1, 2]
    assert found.boxes["label"].to_pylist() == [7, 8, 7, 8, None]
