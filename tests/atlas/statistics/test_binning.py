import numpy as np
import pytest

from pipeline.atlas.statistics.binning import NO_BIN, bin_codes, quantile
from pipeline.measures import edges


@pytest.mark.parametrize("kind", ["fraction", "ratio", "mass", "count", "flag"])
def test_bins_are_those_of_a_search(kind):
    inner = np.asarray(edges(kind))[1:-1]
    near = inner.astype(np.float32)
    around = [np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf)]
    rng = np.random.default_rng(0)
    anything = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    extreme = np.array([0, -0.0, -1, np.inf, -np.inf], np.float32)
    values = np.concatenate([near, *around, anything[~np.isnan(anything)], extreme])
    expected = np.searchsorted(inner, values.astype(np.float64), side="right")
    assert np.array_equal(bin_codes(values, kind), expected)
    assert bin_codes(np.array([np.nan], np.float32), kind).tolist() == [NO_BIN]


@pytest.mark.parametrize("kind", ["fraction", "ratio", "mass", "count"])
@pytest.mark.parametrize("q", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantiles_are_off_by_at_most_a_bin(kind, q):
    rng = np.random.default_rng(5)
    values = {
        "fraction": rng.beta(2, 5, (2, 999)),
        "ratio": 2 ** rng.normal(0, 2, (2, 999)),
        "mass": 10 ** rng.normal(-4, 1, (2, 999)),
        "count": rng.integers(0, 12, (2, 999)).astype(float),
    }[kind]
    scale = np.array(edges(kind))
    histogram = np.stack([np.histogram(row, scale)[0] for row in values])
    found = bin_codes(quantile(histogram, kind, q), kind).astype(int)
    expected = bin_codes(np.quantile(values, q, axis=1, method="inverted_cdf"), kind)
    assert (np.abs(found - expected) <= 1).all()


def test_each_class_may_have_its_own_quantile():
    histogram = np.tile(np.ones(256, np.int64), (2, 1))
    assert quantile(histogram, "fraction", np.array([0.25, 0.75])).tolist() == [0.25, 0.75]


def test_an_empty_histogram_has_no_quantile():
    assert np.isnan(quantile(np.zeros((1, 256), np.int64), "ratio", 0.5)).all()
