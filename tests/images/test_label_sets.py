"""Several labels per image mean the same in every kind of file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import DatasetConfig
from pipeline.errors import ConfigError, DatasetError, FlowatlasError
from pipeline.images import NamesNeeded, Pairs, Source, open_source
from pipeline.images.label_sets import LabelSets, is_set, label_set
from tests.images.archives import tar_of
from tests.images.indexed import indexed

NAMES = {"cat": 0, "dog": 1, "bird": 4}
IMAGES = (("cat", "dog"), ("bird",), (), ("bird", "cat", "cat"))
EXPECTED = [[0, 1], [4], [], [0, 4]]


def write(folder: Path, kind: str, columns: dict[str, Sequence[Any]]) -> str:
    """Write images with some columns; return the place."""
    rows = range(len(next(iter(columns.values()))))
    for n in rows:
        (folder / f"{n}.jpg").write_bytes(b"1")
    if kind == "csv":
        lines = [",".join(["uri", *columns])]
        lines += [",".join([f"{n}.jpg", *(str(v[n]) for v in columns.values())]) for n in rows]
        (folder / "t.csv").write_text("\n".join(lines) + "\n")
        return str(folder / "t.csv")
    if kind == "tar":
        members = []
        for n in rows:
            fields = {name: values[n] for name, values in columns.items()}
            members += [(f"{n}.jpg", b"1"), (f"{n}.json", json.dumps(fields).encode())]
        return str(tar_of(folder / "t.tar", members))
    image = (
        {"uri": [f"{n}.jpg" for n in rows]} if kind == "table" else {"image": [b"1"] * len(rows)}
    )
    pq.write_table(pa.table({**image, **columns}), folder / "t.parquet")
    return str(folder / "t.parquet")


def labels(source: Source) -> list[list[int] | None]:
    """Return the labels of every image."""
    rows = indexed(source, Pairs(1)).rows
    assert rows["image"].to_pylist() == list(range(len(rows)))
    return rows["labels"].to_pylist()


@pytest.mark.parametrize("kind", ["table", "parquet", "tar"])
def test_lists_of_names(tmp_path: Path, kind: str) -> None:
    place = write(tmp_path, kind, {"labels": [list(image) for image in IMAGES]})
    source = open_source(DatasetConfig(source=place), NAMES)
    assert source.multi_label
    assert labels(source) == EXPECTED


@pytest.mark.parametrize("kind", ["table", "parquet", "tar"])
def test_lists_of_indices_and_what_is_unlabelled(tmp_path: Path, kind: str) -> None:
    place = write(tmp_path, kind, {"labels": [[2, 0], None, [], [5, 5, -1]]})
    source = open_source(DatasetConfig(source=place))
    assert labels(source) == [[0, 2], None, [], [5]]


@pytest.mark.parametrize("kind", ["csv", "table", "parquet", "tar"])
def test_a_separator(tmp_path: Path, kind: str) -> None:
    place = write(tmp_path, kind, {"label": [" | ".join(image) for image in IMAGES]})
    source = open_source(DatasetConfig(source=place, label_separator="|"), NAMES)
    assert labels(source) == EXPECTED


@pytest.mark.parametrize("kind", ["csv", "table", "parquet", "tar"])
def test_columns_of_zero_and_one(tmp_path: Path, kind: str) -> None:
    flags = {name: [int(name in image) for image in IMAGES] for name in NAMES}
    place = write(tmp_path, kind, flags | {"other": [7, 7, 7, 7]})
    dataset = DatasetConfig(source=place, label_columns=tuple(NAMES))
    source = open_source(dataset, NAMES)
    assert labels(source) == EXPECTED
    assert set(open_source(dataset).class_names.values()) == set(NAMES)


@pytest.mark.parametrize("kind", ["table", "parquet", "tar"])
def test_vectors_of_booleans(tmp_path: Path, kind: str) -> None:
    vectors = [[place in own for place in range(5)] for own in EXPECTED]
    place = write(tmp_path, kind, {"labels": vectors})
    assert labels(open_source(DatasetConfig(source=place))) == EXPECTED


@pytest.mark.parametrize("kind", ["table", "parquet"])
def test_a_list_of_a_fixed_length_is_a_vector(tmp_path: Path, kind: str) -> None:
    vectors = pa.array([[1, 0, 1], [0, 1, 0]], pa.list_(pa.int8(), 3))
    assert labels(
        open_source(DatasetConfig(source=write(tmp_path, kind, {"labels": vectors})))
    ) == [
        [0, 2],
        [1],
    ]


def test_labels_in_text_members(tmp_path: Path) -> None:
    place = tar_of(tmp_path / "t.tar", [("a.jpg", b"1"), ("a.cls", b"cat;bird\n")])
    source = open_source(DatasetConfig(source=str(place), label_separator=";"), NAMES)
    assert labels(source) == [[0, 4]]


@pytest.mark.parametrize("feature", [
    {"feature": {"names": list(NAMES), "_type": "ClassLabel"}, "_type": "Sequence"},
    [{"names": list(NAMES), "_type": "ClassLabel"}],
])  # fmt: skip
def test_names_of_hugging_face_lists(tmp_path: Path, feature: object) -> None:
    table = pa.table({"image": [b"1"], "labels": [[2, 0]]})
    info = json.dumps({"info": {"features": {"labels": feature}}})
    table = table.replace_schema_metadata({"huggingface": info})
    pq.write_table(table, tmp_path / "t.parquet")
    dataset = DatasetConfig(source=str(tmp_path / "t.parquet"))
    assert open_source(dataset).class_names == dict(enumerate(NAMES))
    assert labels(open_source(dataset, NAMES)) == [[0, 4]]


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_names_without_a_mapping_are_asked_for(tmp_path: Path, kind: str) -> None:
    with pytest.raises(NamesNeeded):
        labels(open_source(DatasetConfig(source=write(tmp_path, kind, {"labels": [["cat"]]}))))


@pytest.mark.parametrize(("content", "options", "sentence"), [
    ({"labels": [[0, 0, 1]]}, {}, "vector of 0 and 1 or a list of indices"),
    ({"labels": [[[1], [2]]]}, {}, "a class index or name, or a list"),
    ({"cat": [-1]}, {"label_columns": ("cat",)}, "'-1' is neither 0 nor 1"),
    ({"cat": [1]}, {"label_columns": ("dog",)}, "no column 'dog'"),
    ({"cat": [1]}, {"label_columns": ("cat",), "label_separator": "|"}, "remove"),
    ({"labels": [[1]]}, {"label_separator": "|"}, "holds lists; remove dataset.label_separator"),
    ({"other": [1]}, {"label_separator": "|"}, "no label column; remove"),
])  # fmt: skip
def test_what_is_unclear_is_refused(
    tmp_path: Path, content: dict[str, Any], options: dict[str, Any], sentence: str
) -> None:
    place = write(tmp_path, "parquet", content)
    with pytest.raises(FlowatlasError, match=sentence):
        labels(open_source(DatasetConfig(source=place, **options)))


def test_lists_after_single_labels_are_refused(tmp_path: Path) -> None:
    place = write(tmp_path, "tar", {"label": [1, [1, 2]]})
    with pytest.raises(DatasetError, match=r"list of labels.*first sample has one"):
        indexed(open_source(DatasetConfig(source=place)))


def test_a_folder_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.jpg").write_bytes(b"1")
    with pytest.raises(ConfigError, match="label_separator"):
        open_source(DatasetConfig(source=str(tmp_path), label_separator="|"))


@given(st.sets(st.integers(0, 40)), st.integers(0, 40))
def test_every_form_of_a_set_is_the_same_set(wanted: set[int], extra: int) -> None:
    size = max(wanted, default=0) + 1 + extra
    forms = [
        LabelSets().members(sorted(wanted, reverse=True)),
        LabelSets(separator="|").members(" | ".join(map(str, wanted))),
        LabelSets().members([place in wanted for place in range(size)]),
        LabelSets(vector=True).members([float(place in wanted) for place in range(size)]),
    ]
    found = {label_set(form, int) for form in forms}
    assert found == {tuple(sorted(wanted))}


@pytest.mark.parametrize("value", ["1", 1, 1.0, True, "TRUE", "yes"])
def test_what_is_one(value: object) -> None:
    assert is_set(value, "here")


@pytest.mark.parametrize("value", ["", "0", 0, 0.0, False, None, float("nan"), "no"])
def test_what_is_zero(value: object) -> None:
    assert not is_set(value, "here")
