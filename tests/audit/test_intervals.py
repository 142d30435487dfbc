import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.audit.intervals import Rate, difference

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
