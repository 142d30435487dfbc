"""Names become class indices, or an error says which do not."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.images.sources.labels import (
    class_names,
    folder_labels,
    quoted,
    read_labels,
    table_labels,
)


def test_folders_are_numbered_in_order_of_their_names() -> None:
    assert folder_labels({"dog", "Zebra", "cat"}, None) == {"Zebra": 0, "cat": 1, "dog": 2}


def test_folders_take_the_given_labels_and_null_leaves_them_unlabelled() -> None:
    assert folder_labels({"cat", "junk"}, {"cat": 281, "junk": None, "dog": 3}) == {
        "cat": 281,
        "junk": None,
    }


def test_every_unknown_folder_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'dog', 'emu'"):
        folder_labels({"cat", "emu", "dog"}, {"cat": 1})


@pytest.mark.parametrize(
    ("value", "label"),
    [(3, 3), ("3", 3), ("3.0", 3), (3.0, 3), (-1, None), ("", None), (None, None)],
)
def test_a_class_index_is_read_however_it_is_written(value: object, label: int | None) -> None:
    assert table_labels([value], None) == {value: label}


def test_not_a_number_is_no_label() -> None:
    assert list(table_labels([float("nan")], None).values()) == [None]


@pytest.mark.parametrize("value", ["cat", "1.5", -2, 2**31, True, "nan", "inf"])
def test_what_is_no_class_index_is_named(value: object) -> None:
    with pytest.raises(ConfigError, match=rf"'{value}'.*dataset\.labels"):
        table_labels([value, 1], None)


def test_labels_of_a_table_are_looked_up_as_text() -> None:
    assert table_labels([7, "cat", 8.0], {"7": 70, "cat": 1, "8": 80}) == {7: 70, "cat": 1, 8.0: 80}
    with pytest.raises(ConfigError, match="'dog'"):
        table_labels(["cat", "dog"], {"cat": 1})


def test_of_two_names_of_a_class_the_first_counts() -> None:
    assert class_names({"tabby": 281, "cat": 281, "junk": None}) == {281: "cat"}


def test_a_labels_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"cat": 281, "junk": null}')
    assert read_labels(str(path)) == {"cat": 281, "junk": None}


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"cat": -1}', '{"cat": true}', '{"cat": "1"}', "[" * 100_000]
)
def test_other_labels_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"labels\.json"):
        read_labels(str(path))


def test_a_missing_labels_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json"):
        read_labels(str(tmp_path / "none.json"))


@given(st.lists(st.text(), unique=True))
def test_hostile_names_are_shown_without_control_characters(names: list[str]) -> None:
    assert quoted(names).isprintable()


@given(st.dictionaries(st.text(), st.integers(0, 2**31 - 1)))
def test_labels_survive_their_file(tmp_path_factory, labels: dict[str, int]) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.json"
    path.write_text(json.dumps(labels | {"x": 0}))
    assert read_labels(str(path)) == labels | {"x": 0}
