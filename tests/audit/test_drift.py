import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.drift import drift

EDGES = np.linspace(0, 1, 51)
RNG = np.random.default_rng(0)


def counts(values):
    return np.histogram(values, EDGES)[0][None]


def test_distances_are_scipys_up_to_a_bin():
    one, other = RNG.beta(2, 5, 4000), RNG.beta(3, 4, 3000)
    found = drift(counts(one), counts(other), EDGES)
    assert found.ks[0] == pytest.approx(scipy.stats.ks_2samp(one, other).statistic, abs=0.02)
    assert found.w1[0] == pytest.approx(scipy.stats.wasserstein_distance(one, other), abs=0.002)
    assert found.p[0] < 1e-50
    assert found.psi[0] > 0.25


def test_the_p_value_is_that_of_the_smirnov_test():
    values = RNG.random((2, 300))
    values[1] *= 0.93
    found = drift(counts(values[0]), counts(values[1]), EDGES)
    binned = (np.floor(part * 50) for part in values)
    expected = scipy.stats.ks_2samp(*binned, method="asymp").pvalue
    assert found.p[0] == pytest.approx(expected, rel=0.3)


@given(st.lists(st.integers(0, 50), min_size=50, max_size=50).filter(any))
def test_nothing_drifts_from_itself(histogram):
    same = np.array([histogram])
    found = drift(same, 3 * same, EDGES)
    assert found.ks[0] == pytest.approx(0, abs=1e-12)
    assert found.w1[0] == pytest.approx(0, abs=1e-12)
    assert found.p[0] == pytest.approx(1)
    assert drift(same, same, EDGES).psi[0] == pytest.approx(0, abs=1e-12)


def test_chance_alone_is_rarely_significant():
    one, other = (np.stack([counts(RNG.random(200))[0] for _ in range(400)]) for _ in range(2))
    found = drift(one, other, EDGES)
    assert np.mean(found.p < 0.05) < 0.06
    assert np.median(found.psi) < 0.15


def test_a_class_without_images_has_no_distance():
    one = np.zeros((2, 50), int)
    one[1, 3] = 7
    found = drift(one, one[::-1].copy(), EDGES)
    assert all(np.isnan(values).all() for values in (found.ks, found.w1, found.psi, found.p))
