"""Scores of one map against their definitions."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.evaluation.localisation import auc, energy, lift, pointing, rank_accuracy

VALUES = st.lists(st.integers(0, 3), min_size=2, max_size=6)
SIDES = st.integers(0, 8)


@given(VALUES, st.data())
def test_auc_counts_pairs(values, data):
    inside = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    p, cover = np.array(values, float), np.array(inside, float)
    pairs = list(product(p[cover > 0.5], p[cover <= 0.5]))
    if not pairs:
        assert np.isnan(auc(p, cover))
        return
    wanted = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    assert auc(p, cover) == pytest.approx(wanted)


@given(VALUES, st.data())
def test_rank_accuracy_is_expected_over_all_orders_of_equal_cells(values, data):
    inside = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    p, cover = np.array(values, float), np.array(inside, float)
    count = int(cover.sum())
    if not count:
        assert np.isnan(rank_accuracy(p, cover))
        return
    orders = [o for o in permutations(range(len(p))) if all(np.diff(p[list(o)]) <= 0)]
    wanted = np.mean([cover[list(order[:count])].mean() for order in orders])
    assert rank_accuracy(p, cover) == pytest.approx(wanted)


@given(
    st.lists(st.integers(0, 2), min_size=6, max_size=6),
    st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), max_size=3),
    st.sampled_from([0.0, 0.1, 0.3]),
)
def test_pointing_looks_at_the_centre_of_each_highest_cell(values, corners, tolerance):
    """On 2 × 3 cells: every cell centre against every box, one at a time."""
    p, boxes = np.array(values, float), np.array(corners, float).reshape(-1, 4) / 8
    usable = [box for box in boxes if box[2] > box[0] and box[3] > box[1]]
    padded = np.concatenate([boxes, np.full((2, 4), np.nan)])
    found = pointing(p, padded, (2, 3), tolerance)
    if not usable:
        assert np.isnan(found)
        return
    hits = []
    for cell in range(6):
        if p[cell] == max(values):
            x, y = (cell % 3 + 0.5) / 3, (cell // 3 + 0.5) / 2
            hits.append(
                any(
                    x0 - tolerance <= x <= x1 + tolerance and y0 - tolerance <= y <= y1 + tolerance
                    for x0, y0, x1, y1 in usable
                )
            )
    assert found == pytest.approx(np.mean(hits))


@given(st.lists(st.integers(0, 5), min_size=4, max_size=4), st.data())
def test_energy_and_lift_are_those_of_pixels(values, data):
    """A cell of 4 × 4 pixels has its value on every pixel; a box covers whole pixels."""
    x0, x1 = sorted(data.draw(st.tuples(SIDES, SIDES)))
    y0, y1 = sorted(data.draw(st.tuples(SIDES, SIDES)))
    pixels = np.array(values, float).reshape(2, 2).repeat(4, 0).repeat(4, 1)
    mask = np.zeros((8, 8))
    mask[y0:y1, x0:x1] = 1
    cover = mask.reshape(2, 4, 2, 4).mean((1, 3)).ravel()
    p = np.array(values, float)
    if not mask.any() or not p.any():
        assert np.isnan(energy(p, cover))
        assert np.isnan(lift(p, cover))
        return
    assert energy(p, cover) == pytest.approx((pixels * mask).sum() / pixels.sum())
    assert lift(p, cover) == pytest.approx((pixels * mask).sum() / pixels.sum() / mask.mean())
