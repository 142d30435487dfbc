import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.compare.drift import drift, standardised_drift
from pipeline.audit.compare.standardisation import standardise

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


def test_the_gap_is_where_the_shares_say():
    one, other = RNG.beta(2, 5, 4000), RNG.beta(3, 4, 3000)
    found = drift(counts(one), counts(other), EDGES)
    at = EDGES[found.at[0]]
    assert found.below[0] == pytest.approx((one < at).mean())
    assert found.other_below[0] == pytest.approx((other < at).mean())
    assert found.below[0] - found.other_below[0] == pytest.approx(found.ks[0])


def test_a_shift_is_told_from_a_spread():
    one, wide = RNG.normal(0.5, 0.05, 4000), RNG.normal(0.5, 0.15, 4000)
    assert drift(counts(one), counts(one + 0.1), EDGES).shift[0] == pytest.approx(1, abs=0.01)
    assert drift(counts(one), counts(one - 0.1), EDGES).shift[0] == pytest.approx(-1, abs=0.01)
    assert abs(drift(counts(one), counts(wide), EDGES).shift[0]) < 0.2


def classes_of(images, seed):
    """Return counts (K, 50) of classes that are far apart, with so many images each."""
    rng = np.random.default_rng(seed)
    drawn = [rng.beta(2 + 3 * k, 20 - 3 * k, count) for k, count in enumerate(images)]
    return np.concatenate([counts(values) for values in drawn])


def test_another_mix_of_classes_is_no_drift():
    one, other = classes_of([500, 100, 50], 1), classes_of([50, 100, 500], 2)
    assert drift(one.sum(0)[None], other.sum(0)[None], EDGES).p[0] < 1e-50
    assert standardised_drift(standardise(one, other), EDGES).p[0] > 0.1


def test_the_bound_of_a_mix_holds():
    """Of many draws with the same classes it calls at most as many as it says, here none."""
    p = [
        standardised_drift(
            standardise(classes_of([200, 40, 40], 2 * n), classes_of([30, 60, 200], 2 * n + 1)),
            EDGES,
        ).p[0]
        for n in range(200)
    ]
    assert np.mean(np.array(p) < 0.05) <= 0.05


def test_a_drift_in_one_mix_is_found():
    one, other = classes_of([500, 100, 50], 1), classes_of([400, 100, 90], 2)
    moved = np.roll(other, 5, axis=1)
    assert standardised_drift(standardise(one, moved), EDGES).p[0] < 1e-6
