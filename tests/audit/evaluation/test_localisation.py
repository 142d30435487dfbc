"""Scores of one map against their definitions."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.evaluation.localisation import auc, lift, rank_accuracy

VALUES = st.lists(st.integers(0, 3), min_size=2, max_size=6)


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


def test_lift_is_one_where_the_map_is_uniform():
    cover = np.array([1, 0.5, 0, 0])
    assert lift(np.ones(4), cover) == pytest.approx(1)
    assert lift(np.array([1.0, 0, 0, 0]), cover) == pytest.approx(4 / 1.5)
    assert np.isnan(lift(np.zeros(4), cover))
    assert np.isnan(lift(np.ones(4), np.zeros(4)))
