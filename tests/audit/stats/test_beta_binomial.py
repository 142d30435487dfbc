import numpy as np
import pytest

from pipeline.audit.shortcuts.detection import find_shortcuts
from pipeline.audit.stats.beta_binomial import LEAST_MEMBERS, contrast_shares
from pipeline.audit.stats.estimates import STATISTICS, Estimates

CORNERS = [item for item in STATISTICS if item.aspect == "share"]
IMAGES = 600


def family(counts, images=IMAGES):
    """Estimates of the four corners from (4, K) counts."""
    size = np.full(np.shape(counts)[1], images)
    shares = np.asarray(counts) / size
    return [
        Estimates(item, share, share, np.full(len(size), 0.01), size)
        for item, share in zip(CORNERS, shares, strict=True)
    ]


def quiet(seed=0, classes=8, rate=0.002):
    return np.random.default_rng(seed).binomial(IMAGES, rate, (4, classes))


def test_twelve_of_six_hundred_are_seen():
    counts = quiet()
    counts[1, 3] = 12
    (found,) = find_shortcuts(family(counts))
    assert (found.kind, found.headline.class_id) == ("rare", 3)
    assert found.headline.statistic.name == "corner_tr_flow_share"
    assert found.headline.value == pytest.approx(0.02)
    assert found.headline.control < 0.004


@pytest.mark.parametrize("rate", [0.0005, 0.004, 0.03])
def test_chance_is_silent(rate):
    """Equal classes, many times: a p below 0.001 comes in at most 0.1 % of the cases."""
    p = np.stack([[c.p for c in contrast_shares(family(quiet(s, rate=rate)))] for s in range(60)])
    assert np.mean(p < 0.001) <= 0.0015


def test_classes_that_differ_by_nature_are_silent():
    rng = np.random.default_rng(1)
    counts = rng.binomial(IMAGES, rng.gamma(2, 0.005, (4, 12)))
    p = np.stack([item.p for item in contrast_shares(family(counts))])
    assert p.min() > 0.001


def test_a_class_that_looks_into_all_corners_alike_is_silent():
    counts = quiet()
    counts[:, 5] = 25
    assert min(item.p[5] for item in contrast_shares(family(counts))) > 0.01


def test_less_than_a_handful_is_nothing():
    counts = np.zeros((4, 8), int)
    counts[0, 2] = LEAST_MEMBERS - 1
    assert all((item.p == 1).all() for item in contrast_shares(family(counts)))
    assert contrast_shares(family(counts), LEAST_MEMBERS - 1)[0].p[2] < 0.05
    assert all(np.isnan(item.p).all() for item in contrast_shares(family(counts[:, :3])))
