import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.audit.stats.intervals import Rate, design_effect, difference

COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.sampled_from([0.9, 0.95, 0.975]))
def test_the_interval_is_wilsons(counts, level):
    k, n = counts
    expected = binomtest(k, n).proportion_ci(level, method="wilson")
    assert Rate(k, n, level).interval == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_the_difference_is_newcombes(one, other, expected):
    assert difference(Rate(*one), Rate(*other)) == pytest.approx(expected, abs=1e-4)


@given(COUNTS, COUNTS)
def test_a_difference_lies_in_its_interval(one, other):
    low, high = difference(Rate(*one), Rate(*other))
    gap = Rate(*one).value - Rate(*other).value
    assert -1 <= low <= gap <= high <= 1


def test_no_image_says_nothing():
    assert math.isnan(Rate(0, 0).value)
    assert Rate(0, 0).interval == (0, 1)
    assert difference(Rate(0, 0), Rate(3, 9)) == (-1, 1)


def test_a_rate_is_four_columns():
    low, high = Rate(3, 9).interval
    found = Rate(3, 9).columns("pasted")
    assert found == {
        "pasted_images": 9,
        "pasted_rate": pytest.approx(1 / 3),
        "pasted_low": low,
        "pasted_high": high,
    }
    assert Rate(0, 0).columns("rest")["rest_rate"] is None


def test_trials_that_share_a_patch_are_worth_fewer():
    """One of five patches does all of it: as good as one of five trials."""
    group = np.arange(200) % 5
    design = design_effect(group == 2, group)
    assert 40 <= design <= 60
    assert Rate(40, 200, design=design).interval[0] < 0.05 < 0.14 < Rate(40, 200).interval[0]


def test_trials_that_share_nothing_are_worth_what_they_are():
    rng = np.random.default_rng(0)
    found = [design_effect(rng.random(200) < 0.3, np.arange(200) % 20) for _ in range(200)]
    assert 1 <= np.mean(found) < 1.3
    assert design_effect(np.ones(9, bool), np.zeros(9, int)) == 1
    assert design_effect(np.arange(9) < 4, np.zeros(9, int)) == 9
