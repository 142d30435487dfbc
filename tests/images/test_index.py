"""Rows are dense, typed and fingerprinted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DatasetError
from pipeline.images import index as module
from pipeline.images.index import BOXES_SCHEMA, INDEX_SCHEMA
from pipeline.images.sources.leftovers import Leftover, Leftovers
from pipeline.images.sources.source import Entry
from tests.images.indexed import indexed

counts = st.none() | st.integers(0, 2**40)
corners = st.floats(-1e6, 1e6, width=32)
entries = st.builds(
    Entry,
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
    counts,
    counts,
    st.none() | st.integers(0, 2**31 - 1),
    st.none() | st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
    st.lists(st.tuples(corners, corners, corners, corners), max_size=3).map(tuple),
)


@dataclass(frozen=True)
class Listed:
    """A source that is a list."""

    entries: tuple[Entry, ...]
    root: str = "/images"
    passed_over: tuple[str, ...] = ()

    @property
    def class_names(self) -> dict[int, str]:
        return {}

    def listing(self) -> None:
        return None

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        for name in self.passed_over:
            leftovers.add("notes", name)
        return iter(self.entries)


def fingerprint(source: Listed) -> str:
    return indexed(source).index.fingerprint


@given(st.lists(entries, min_size=1, max_size=9), st.integers(1, 4))
def test_nothing_is_lost_whatever_the_chunks(content: list[Entry], chunk: int) -> None:
    whole = indexed(Listed(tuple(content)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART_ROWS", chunk)
        index = indexed(Listed(tuple(content)))
    assert index.rows.equals(whole.rows)
    assert index.boxes.equals(whole.boxes)
    assert index.index == whole.index
    labels = [entry.label for entry in content if entry.label is not None]
    assert (index.index.rows, index.index.boxes) == (len(content), index.boxes.num_rows)
    assert (index.index.labelled, index.index.highest_label) == (
        len(labels),
        max(labels, default=None),
    )
    assert (index.rows.schema, index.boxes.schema) == (INDEX_SCHEMA, BOXES_SCHEMA)
    boxes: list[list[tuple[float, ...]]] = [[] for _ in content]
    for box in index.boxes.to_pylist():
        boxes[box.pop("row")].append(tuple(box.values()))
    rows = index.rows.to_pylist()
    assert [row.pop("row") for row in rows] == list(range(len(content)))
    back = [Entry(**row, boxes=tuple(own)) for row, own in zip(rows, boxes, strict=True)]
    assert back == content


@given(st.lists(entries, min_size=1, max_size=4), st.lists(entries, min_size=1, max_size=4))
def test_different_datasets_have_different_fingerprints(a: list[Entry], b: list[Entry]) -> None:
    same = fingerprint(Listed(tuple(a))) == fingerprint(Listed(tuple(b)))
    assert same == (repr(a) == repr(b) or a == b)


@pytest.mark.parametrize(
    "change",
    [
        {"uri": "b"},
        {"offset": 0},
        {"length": 6},
        {"label": None},
        {"split": None},
        {"boxes": ((1.0, 2.0, 3.0, 4.0),)},
    ],
)
def test_every_field_counts(change: dict[str, object]) -> None:
    entry = Entry("a", None, 5, 0, "val", ())
    other = replace(entry, **change)
    prints = {fingerprint(Listed((one,))) for one in (entry, other)}
    prints.add(fingerprint(Listed((entry, other))))
    prints.add(fingerprint(Listed((other, entry))))
    assert len(prints) == 4


def test_the_root_is_no_part_of_the_fingerprint() -> None:
    content = (Entry("a"), Entry("b"))
    assert fingerprint(Listed(content, "/elsewhere")) == fingerprint(Listed(content))


def test_leftovers_are_returned_and_are_no_part_of_the_fingerprint() -> None:
    content = (Entry("a"), Entry("b"))
    found = indexed(Listed(content, passed_over=("x", "y"))).index
    assert found.leftovers == (Leftover("notes", 2, ("x", "y")),)
    assert found.fingerprint == fingerprint(Listed(content))


def test_the_fingerprint_is_the_same_tomorrow() -> None:
    content = (Entry("a/ü.jpg", 512, 99, 7, "val", ((0.5, 1.0, 2.0, 3.0),)), Entry("b"))
    assert fingerprint(Listed(content)) == "0475b8ecfff1c0556f73e92a78b2e868"


def test_an_empty_source_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no images in /images"):
        indexed(Listed(()))
