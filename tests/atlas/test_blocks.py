import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.atlas import blocks as module
from pipeline.atlas.blocks import blocks, flows_of, read_columns, read_rows, write_rows
from pipeline.atlas.request import Order
from pipeline.atlas.statistics.membership import TABLES, Tables
from pipeline.atlas.statistics.pooled import create_pooled, open_pooled
from tests.atlas.synthetic import synthetic_run

IMAGES, ROWS = 95, 10
some_units = st.sets(st.integers(0, -(-IMAGES // ROWS) - 1), min_size=1).map(sorted)
on_one_run = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return synthetic_run(folder, IMAGES, 3, layers=2, grid=(3, 4), unit_rows=ROWS, label_maps=True)


@pytest.fixture(params=[1, 3_000, 1 << 20])
def together(request, monkeypatch):
    """Bytes read at once: less than a unit, a few units, everything."""
    monkeypatch.setattr(module, "_BYTES_TOGETHER", request.param)


def rows_of(run, chosen):
    return np.concatenate([np.arange(run.units[i].lo, run.units[i].hi) for i in chosen])


@on_one_run
@given(some_units)
def test_rows_of_any_units_are_read(run, together, chosen):
    block = [run.units[i] for i in chosen]
    expected = run.maps[...][rows_of(run, chosen)]
    buffer = np.full((IMAGES + 1, *run.maps.shape[1:]), np.nan, run.maps.dtype)
    found = read_rows(run.maps, block, buffer)
    assert np.shares_memory(found, buffer)
    assert np.array_equal(found, expected)
    assert np.array_equal(read_rows(run.maps, block), expected)


@on_one_run
@given(some_units)
def test_rows_of_any_units_are_written_and_no_others(run, together, chosen):
    create_pooled(run, "pooled.zarr")
    into = open_pooled(run, "pooled.zarr", mode="r+")
    rows = rows_of(run, chosen)
    values = np.arange(1, len(rows) * 12 + 1, dtype=np.uint16).reshape(-1, 3, 4)
    write_rows(into, [run.units[i] for i in chosen], values)
    expected = np.zeros((IMAGES, 3, 4), np.uint16)
    expected[rows] = values
    assert np.array_equal(open_pooled(run, "pooled.zarr")[...], expected)


@on_one_run
@given(some_units, st.integers(1, 60))
def test_blocks_hold_every_unit_once_and_no_more_images_than_they_may(run, chosen, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_ROWS", most)
        cut = list(blocks(run, [run.units[i] for i in reversed(chosen)]))
    assert [unit.id for block in cut for unit in block] == chosen
    assert all(len(block) == 1 or sum(map(len, block)) <= most for block in cut)


@pytest.mark.parametrize("most", [10, 20, 1000])
@pytest.mark.parametrize("target", ["predicted", "label"])
def test_the_block_that_is_worked_on_is_not_the_one_that_is_read(run, monkeypatch, most, target):
    monkeypatch.setattr(module, "BLOCK_ROWS", most)
    order = Order(run.uri, "pooled.zarr", Tables(tuple(TABLES), run.spec.classes), None, target)
    seen = []
    for block, flows in flows_of(run, order, run.units):
        raw = flows.maps.astype(np.float32) * flows.scale[:, :, None, None]
        lo, hi = block[0].lo, block[-1].hi
        assert np.array_equal(raw, run.read_maps(lo, hi, target))
        assert flows.members.rows.tolist() == list(range(lo, hi))
        seen += flows.members.rows.tolist()
    assert seen == list(range(IMAGES))


def test_an_error_of_the_reader_reaches_the_caller(run, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", ROWS)

    def fail(run, order, maps, scale, block, buffer):
        if block[0].id == 3:
            raise OSError("the disk is gone")
        return block

    monkeypatch.setattr(module, "_read_flows", fail)
    order = Order(run.uri, "pooled.zarr", Tables(tuple(TABLES), run.spec.classes), None)
    found = flows_of(run, order, run.units)
    assert [next(found)[0].id for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)


def test_columns_of_the_summary_and_of_the_index_are_in_the_requested_order(run):
    block = [run.units[i] for i in (4, 1)]
    found = read_columns(run, block, ["uri", "gini_flow", "row"])
    assert set(found.column_names) == {"uri", "gini_flow", "row"}
    rows = rows_of(run, (4, 1))
    assert found["row"].to_numpy().tolist() == rows.tolist()
    assert found["uri"].to_pylist() == [run.index()["uri"][row].as_py() for row in rows]
    gini = run.summary().to_table(columns=["row", "gini_flow"]).sort_by("row")["gini_flow"]
    assert np.array_equal(found["gini_flow"].to_numpy(), gini.to_numpy()[rows], equal_nan=True)
