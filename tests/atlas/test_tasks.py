import functools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.atlas import state, tasks
from pipeline.atlas.request import Order
from pipeline.atlas.state import empty, merge
from pipeline.atlas.statistics.membership import TABLES, Tables
from pipeline.atlas.statistics.pooled import create_pooled, open_pooled
from pipeline.atlas.tasks import FIRST_PASS, values_of
from pipeline.errors import ConfigError
from tests.atlas.synthetic import synthetic_run

UNITS = 5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return synthetic_run(folder, 70, 3, seed=2, layers=2, grid=(3, 4), unit_rows=15)


@pytest.fixture(scope="module")
def order(run):
    created = Order(run.uri, "pooled.zarr", Tables(tuple(TABLES), run.spec.classes), None)
    create_pooled(run, created.pooled)
    return created


@pytest.fixture(scope="module")
def whole(run, order):
    return contents(add_units(order, run.units)), open_pooled(run, order.pooled)[...]


def add_units(order, units):
    return merge(*[leaf(order, units) for leaf in FIRST_PASS])


def contents(found):
    """Everything a state holds, whichever way it holds it."""
    histograms = found["histograms"]
    columns = enumerate(histograms.of_columns(range(len(histograms.bins))))
    packed = {k: a for k, a in state.pack(found).items() if not k.startswith("histograms.")}
    return packed | {f"bins {j}": counts for j, counts in columns}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert np.array_equal(found[name], array), name


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.permutations(range(UNITS)),
    st.sets(st.integers(1, UNITS - 1)),
    st.lists(st.integers(0, UNITS - 1), max_size=2),
    st.randoms(use_true_random=False),
)
def test_any_order_any_cut_any_tree_and_repeated_tasks_give_the_same_bits(
    run, order, whole, shuffled, cuts, repeated, random
):
    pieces = np.split(np.array(shuffled), sorted(cuts))
    for unit in repeated:
        add_units(order, (run.units[unit],))
    parts = [add_units(order, [run.units[unit] for unit in piece]) for piece in pieces]
    while len(parts) > 1:
        random.shuffle(parts)
        parts = [merge(parts[0], parts[1]), *parts[2:]]
    assert_same(contents(parts[0]), whole[0])
    assert np.array_equal(open_pooled(run, order.pooled)[...], whole[1])


def test_an_empty_state_changes_nothing_and_merging_changes_no_part(run, order, whole):
    parts = [add_units(order, (unit,)) for unit in run.units]
    before = contents(parts[0])
    neutral = empty(run.spec, order.tables.cells)
    assert_same(contents(functools.reduce(merge, parts, neutral)), whole[0])
    assert_same(contents(parts[0]), before)


def test_a_packed_state_is_the_same_state(run, order, whole):
    packed = state.pack(add_units(order, run.units))
    found = state.unpack(run.spec, order.tables.cells, packed)
    assert_same(contents(found), whole[0])


def test_values_of_a_column_of_the_summary_and_of_the_index(run, order, monkeypatch):
    assert values_of(order, "correct", run.units) == {"true", "false"}
    assert len(values_of(order, "uri", run.units[:2])) == 30
    monkeypatch.setattr(tasks, "MOST_VALUES", 20)
    with pytest.raises(ConfigError, match="more than 20 values"):
        values_of(order, "uri", run.units)
