"""The index of a run lies in parts and is read by slices."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.images import BOXES_SCHEMA, INDEX_SCHEMA, PART_ROWS
from pipeline.store import Spool, open_store, stored_scan
from pipeline.store.index import box_rows, index_parts, index_rows, index_take
from pipeline.store.objects import sizes
from tests.store.runs import spooled

ROWS = 2 * PART_ROWS + 1000


def table(rows: int) -> pa.Table:
    columns = [pa.array(range(rows), pa.int64()), pa.array([f"{row:x}.jpg" for row in range(rows)])]
    columns += [pa.nulls(rows, field.type) for field in list(INDEX_SCHEMA)[2:]]
    return pa.Table.from_arrays(columns, schema=INDEX_SCHEMA)


@pytest.fixture(scope="module")
def spool() -> Spool:
    boxes = [[5, 5, 9000], *([1.0, 2.0, 3.0] for _ in range(4))]
    arrays = [pa.array(c, t) for c, t in zip(boxes, BOXES_SCHEMA.types, strict=True)]
    return spooled(table(ROWS), pa.Table.from_arrays(arrays, schema=BOXES_SCHEMA))


@given(st.integers(0, ROWS), st.integers(0, 70_000))
def test_any_slice_is_what_was_scanned(spool: Spool, lo: int, length: int) -> None:
    hi = min(ROWS, lo + length)
    found = index_rows(spool.store, lo, hi)
    assert found["row"].to_pylist() == list(range(lo, hi))
    assert found["uri"].to_pylist() == [f"{row:x}.jpg" for row in range(lo, hi)]


@pytest.mark.parametrize(
    "rows", [[], [0], [ROWS - 1, 3, 3], [PART_ROWS - 1, PART_ROWS, PART_ROWS + 1]]
)
def test_scattered_rows_come_in_order_and_once(spool: Spool, rows: list[int]) -> None:
    taken = index_take(spool.store, rows)
    assert taken["row"].to_pylist() == sorted(set(rows))
    assert taken["uri"].to_pylist() == [f"{row:x}.jpg" for row in sorted(set(rows))]


@pytest.mark.parametrize(
    ("lo", "hi", "rows"), [(0, 5, []), (5, 6, [5, 5]), (0, ROWS, [5, 5, 9000]), (6, 9001, [9000])]
)
def test_boxes_are_those_of_the_rows(spool: Spool, lo: int, hi: int, rows: list[int]) -> None:
    assert box_rows(spool.store, lo, hi)["row"].to_pylist() == rows


def test_a_slice_reads_a_small_part_of_the_index(spool: Spool, tmp_path: Path) -> None:
    """A part with a hole in it is still good for the slices on either side of the hole."""
    store = open_store(str(tmp_path), create=True)
    spool.move_into(store)
    path = tmp_path / "index/00000000.parquet"
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = b"\xff" * third
    path.write_bytes(content)
    assert len(index_rows(store, 0, 64)) == 64
    assert len(index_rows(store, PART_ROWS - 64, PART_ROWS + 64)) == 128
    with pytest.raises((OSError, pa.ArrowException)):
        index_rows(store, 0, PART_ROWS)


def test_an_index_is_known_by_its_scan_only_while_it_is_whole(spool: Spool, tmp_path: Path) -> None:
    store = open_store(str(tmp_path), create=True)
    assert stored_scan(store) is None
    spool.finish({"listing": "abc"})
    spool.move_into(store)
    assert stored_scan(store) == {"listing": "abc"}
    assert sizes(store, "index") == sizes(spool.store, "index")
    assert sum(len(part) for part in index_parts(store)) == ROWS
    torn = tmp_path / "boxes/00000001.parquet"
    torn.write_bytes(torn.read_bytes()[:9])
    assert stored_scan(store) is None
    spool.move_into(store)
    assert stored_scan(store) == {"listing": "abc"}


def test_a_discarded_spool_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = spooled(table(10))
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
    spool.discard()
    assert not list(tmp_path.iterdir())
