import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.stats.contrast import benjamini_hochberg, contrast, upper_tail
from pipeline.audit.stats.estimates import STATISTICS, Estimates


def estimates(score, error=0.1, images=250):
    score = np.asarray(score, float)
    size = score.shape
    return Estimates(STATISTICS[0], 2**score, score, np.full(size, error), np.full(size, images))


@given(st.floats(-50, 50), st.floats(0.5, 5000))
def test_the_tail_is_students(t, degrees):
    assert upper_tail(t, degrees) == pytest.approx(
        scipy.stats.t.sf(t, degrees), rel=1e-8, abs=1e-300
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_q_values_are_those_of_scipy(p):
    expected = scipy.stats.false_discovery_control(p)
    np.testing.assert_allclose(benjamini_hochberg(np.array(p)), expected, rtol=1e-12)


def test_what_was_not_tested_does_not_count():
    q = benjamini_hochberg(np.array([[0.01, np.nan], [np.nan, 0.02]]))
    np.testing.assert_allclose(q, [[0.02, np.nan], [np.nan, 0.02]])


def test_a_class_is_compared_with_the_others_only():
    score = np.array([5.0, 0.0, 0.1, -0.1, 0.2, -0.2])
    (found,) = contrast([estimates(score)])
    assert found.control[0] == pytest.approx(1.0)
    assert found.z.argmax() == 0
    assert found.z[0] > 15
    assert found.p[0] < 0.001 < found.p[1:].min()


def test_chance_differences_do_not_alarm_however_small_the_spread():
    score = np.zeros(8)
    score[2] = 0.2
    (found,) = contrast([estimates(score, error=0.1)])
    assert found.z[2] < 2
    (found,) = contrast([estimates(score, error=0.001)])
    assert found.z[2] > 10


def test_a_class_with_few_images_needs_a_larger_gap():
    errors = np.full(8, 0.05)
    errors[0] = 1.0
    score = np.linspace(-0.1, 0.1, 8)
    score[[0, 1]] = 1.0
    size = np.full(8, 250)
    (found,) = contrast([Estimates(STATISTICS[0], score, score, errors, size)])
    assert found.z[0] < 1.1 < 5 < found.z[1]


def test_few_classes_give_heavy_tails():
    def p_of(classes):
        score = np.tile([-0.1, 0.1], classes)[:classes].astype(float)
        score[0] = 0.6
        return contrast([estimates(score, error=0.001)])[0].p[0]

    assert p_of(200) < 1e-4 < 1e-3 < p_of(5)


def test_corners_share_the_spread():
    quiet = np.array([0.0, 0.01, -0.01, 0.02, -0.02])
    loud = 10 * quiet
    alone, together = (
        contrast([estimates(quiet, 0.001)])[0],
        contrast([estimates(quiet, 0.001), estimates(loud, 0.001)])[0],
    )
    assert np.abs(together.z).max() < np.abs(alone.z).max() / 1.5


def test_three_classes_are_too_few():
    (found,) = contrast([estimates([9.0, 0, 0])])
    assert np.isnan(found.z).all()


def test_classes_without_an_estimate_are_left_out():
    score = np.array([np.nan, 3.0, 0.0, 0.1, -0.1, 0.0])
    (found,) = contrast([estimates(score)])
    assert np.isnan(found.z[0])
    assert np.isnan(found.p[0])
    assert found.z[1] > 5


def test_under_chance_p_values_are_not_too_small():
    """Eight equal classes, many times: a p below 0.01 comes in at most 1 % of the cases."""
    rng = np.random.default_rng(0)
    p = [contrast([estimates(0.1 * rng.standard_normal(8), 0.1)])[0].p for _ in range(500)]
    assert np.mean(np.concatenate(p) < 0.01) < 0.01


def test_classes_that_are_surely_the_same_are_no_news():
    (found,) = contrast([estimates(np.zeros(6), error=0.0)])
    assert (found.z == 0).all()
    assert (found.p == 1).all()
