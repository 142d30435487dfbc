from collections import Counter
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.atlas.fold import cluster, fold, stretches
from pipeline.errors import ConfigError
from pipeline.store.layout import units_of


def rows_of(units):
    return sorted((unit.lo, unit.hi) for unit in units)


@given(st.integers(1, 60), st.integers(1, 80))
def test_stretches_hold_every_unit_once_in_equal_parts(units, count):
    wanted = units_of(units * 10, 10)
    found = stretches(wanted, count)
    assert [unit for stretch in found for unit in stretch] == list(wanted)
    assert len(found) == min(units, count)
    assert max(map(len, found)) - min(map(len, found)) <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 5))
def test_every_unit_is_folded_exactly_once(units, workers):
    wanted = units_of(units, 1)
    found = fold(wanted, [(rows_of, 1)], lambda one, other: sorted(one + other), workers)
    assert found == rows_of(wanted)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_every_leaf_sees_every_unit_in_its_share_of_the_threads(workers):
    wanted, stretches_of = units_of(40, 1), {"large": [], "small": []}

    def leaf(name, units):
        stretches_of[name].append(len(units))
        return Counter({(name, unit.id): 1 for unit in units})

    leaves = [(partial(leaf, "large"), 2 / 3), (partial(leaf, "small"), 1 / 3)]
    found = fold(wanted, leaves, lambda one, other: one + other, workers)
    assert found == Counter((name, unit.id) for name in stretches_of for unit in wanted)
    large, small = map(len, stretches_of.values())
    assert large + small == max(workers, 2)
    assert large >= small


def test_an_error_in_a_leaf_reaches_the_caller():
    def fail(units):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        fold(units_of(9, 1), [(fail, 1)], lambda one, other: one, 2)


def test_an_active_distributed_client_does_the_work():
    distributed = pytest.importorskip("distributed")
    wanted = units_of(17, 1)
    with distributed.Client(
        processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
    ):
        seen = fold(wanted, [(worker_names, 1)], frozenset.union, None)
        assert len(seen) == 1
        assert None not in seen
    assert fold(wanted, [(worker_names, 1)], frozenset.union, None) == {None}


def test_a_missing_scheduler_is_an_error(monkeypatch):
    monkeypatch.setattr("pipeline.atlas.fold._TIMEOUT", 0.5)
    with (
        pytest.raises(ConfigError, match=r"no Dask scheduler at tcp://127"),
        cluster("tcp://127.0.0.1:9"),
    ):
        pass


def worker_names(units):
    """Name of the distributed worker this runs on, None outside of one."""
    from distributed import get_worker

    try:
        return frozenset([get_worker().name])
    except ValueError:
        return frozenset([None])
