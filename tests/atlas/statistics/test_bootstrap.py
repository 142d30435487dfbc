import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.atlas.statistics.block import SummaryBlock
from pipeline.atlas.statistics.bootstrap import (
    REPLICATES,
    add_replicates,
    finish_replicates,
    main_columns,
    shapes,
    weights,
)
from pipeline.atlas.statistics.columns import atlas_columns
from pipeline.atlas.statistics.membership import Members
from pipeline.atlas.statistics.sums import ClassSums
from pipeline.store import Column

COLUMNS = main_columns(atlas_columns([Column("mass_flow", "mass"), Column("gini_l00", "fraction")]))
N = 300


def images(seed=0, n=N):
    rng = np.random.default_rng(seed)
    part = pa.table(
        {
            "mass_flow": pa.array(rng.lognormal(0, 1, n).astype(np.float32)),
            "confidence": pa.array(rng.random(n).astype(np.float32), mask=rng.random(n) < 0.1),
        }
    )
    correct = (rng.random(n) < 0.7).astype(np.int64)
    cells = np.stack([rng.integers(0, 2, n), np.full(n, -1)], axis=1)
    return part, Members(np.arange(n) + 7, np.ones(n, bool), cells, correct)


def summed(part, members):
    total = ClassSums(2, shapes(COLUMNS))
    add_replicates(total, SummaryBlock(members, part), COLUMNS)
    return total


def test_weights_are_poisson_and_belong_to_the_row():
    found = weights(np.arange(20_000))
    assert found.shape == (20_000, REPLICATES)
    assert np.array_equal(weights(np.arange(500, 600)), found[500:600])
    assert abs(found.mean() - 1) < 0.003
    assert abs(found.var() - 1) < 0.01
    assert abs((found == 0).mean() - np.exp(-1)) < 0.002
    apart = np.corrcoef(found[:, :8].T) - np.eye(8)
    assert np.abs(apart).max() < 0.04


def test_replicates_are_weighted_means():
    part, members = images()
    found = finish_replicates(summed(part, members), np.arange(2)[:, None], COLUMNS)
    assert found.names == ("accuracy", "mass_flow", "confidence")
    times = weights(members.rows).astype(float)
    log_mass = np.log10(part["mass_flow"].to_numpy().astype(np.float64))
    sure = part["confidence"].to_numpy().astype(np.float64)
    for group in (0, 1):
        own = members.cells[:, 0] == group
        right = (times[own] * members.correct[own, None]).sum(0) / times[own].sum(0)
        np.testing.assert_allclose(found.means[0, group], right, atol=1e-12)
        mass = (times[own] * log_mass[own, None]).sum(0) / times[own].sum(0)
        np.testing.assert_allclose(np.log10(found.means[1, group]), mass, atol=1e-5)
        known = own & ~np.isnan(sure)
        mean = (times[known] * sure[known, None]).sum(0) / times[known].sum(0)
        np.testing.assert_allclose(found.means[2, group], mean, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, N), max_size=4))
def test_any_order_and_any_cut_gives_the_same_bits(random, cuts):
    part, members = images()
    rows = list(range(N))
    random.shuffle(rows)
    pieces = [np.array(piece, int) for piece in np.split(np.array(rows), sorted(cuts))]
    whole = summed(part, members)
    parts = ClassSums.merged([summed(part.take(piece), members.take(piece)) for piece in pieces])
    for name in whole.shapes:
        assert np.array_equal(whole[name], parts[name]), name


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held = []
    for seed in range(60):
        part, members = images(seed)
        members.rows[:] = np.random.default_rng(seed).integers(0, 10**9, N)
        low, high = finish_replicates(
            summed(part, members), np.array([[0, 1]]), COLUMNS
        ).intervals()
        held += [low[0, 0] <= 0.7 <= high[0, 0], low[2, 0] <= 0.5 <= high[2, 0]]
    assert np.mean(held) == pytest.approx(0.93, abs=0.06)
