import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.atlas.statistics.axes import similarity
from pipeline.atlas.statistics.covariance import add_pooled, finish_axes, shapes
from pipeline.atlas.statistics.membership import Members
from pipeline.atlas.statistics.pooled import POOLED_ONE
from pipeline.atlas.statistics.sums import ClassSums

CLASSES, CELLS, N = 4, 6, 120


def images(seed=0, n=N, classes=CLASSES):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(CELLS), n)
    pooled = np.rint(p * POOLED_ONE).astype(np.uint16)
    pooled[:2] = 0
    cells = np.stack([rng.integers(-1, classes - 1, n), np.full(n, -1)], axis=1)
    rows = np.arange(n) + 1000
    return pooled, Members(rows, rng.random(n) > 0.1, cells, rows)


def summed(pooled, members, classes=CLASSES):
    total = ClassSums(classes, shapes(CELLS))
    add_pooled(total, members, pooled)
    return total


def test_axes_are_those_of_the_covariance():
    pooled, members = images()
    found = finish_axes(summed(pooled, members), np.arange(CLASSES)[:, None])
    used = members.ok & pooled.any(1)
    for group in range(CLASSES - 1):
        own = pooled[used & (members.cells[:, 0] == group)] / POOLED_ONE
        values, vectors = np.linalg.eigh(np.cov(own.T, bias=True))
        np.testing.assert_allclose(found.mean[group], own.mean(0), atol=1e-12)
        np.testing.assert_allclose(found.variance[group], values[::-1][:3], atol=1e-12)
        shares = values[::-1][:3] / values.sum()
        np.testing.assert_allclose(found.explained[group], shares, rtol=1e-8)
        for axis, vector in zip(found.axes[group], vectors.T[::-1], strict=False):
            assert abs(abs(axis @ vector) - 1) < 1e-8
            assert axis[np.abs(axis).argmax()] > 0
    assert np.isnan(found.mean[-1]).all()
    assert np.isnan(found.axes[-1]).all()


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, N), max_size=4))
def test_any_order_and_any_cut_gives_the_same_bits(random, cuts):
    pooled, members = images()
    rows = list(range(N))
    random.shuffle(rows)
    pieces = [np.array(piece, int) for piece in np.split(np.array(rows), sorted(cuts))]
    whole = summed(pooled, members)
    parts = ClassSums.merged([summed(pooled[piece], members.take(piece)) for piece in pieces])
    for name in whole.shapes:
        assert np.array_equal(whole[name], parts[name]), name


def test_a_class_is_reliable_if_it_is_different_and_has_many_images():
    rng = np.random.default_rng(3)
    n, classes = 2400, 4
    label = rng.integers(0, classes, n)
    keep = (label != 1) | (np.arange(n) < 40)  # class 1 has few images
    centre = np.ones((classes, CELLS))
    centre[0, 0] += 1
    centre[1, 1] += 1
    centre[2, 0] += 1  # like class 0
    centre[3, 5] += 1
    p = np.stack([rng.dirichlet(2 * centre[c]) for c in label])
    pooled = np.rint(p * POOLED_ONE).astype(np.uint16)
    cells = np.stack([np.where(keep, label, -1), np.full(n, -1)], axis=1)
    members = Members(np.arange(n), np.ones(n, bool), cells, label)
    found = finish_axes(summed(pooled, members, classes), np.arange(classes)[:, None])
    assert (found.reliability[[0, 2, 3]] > 0.9).all()
    assert found.reliability[1] < found.reliability[0]
    alike = similarity(found.mean, found.reliability)
    assert alike[0, 2] > 0.9
    assert alike[0, 3] < 0
    assert alike[0, 0] == pytest.approx(1, abs=0.1)
    assert np.allclose(alike, alike.T, equal_nan=True)
