import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats

from pipeline.audit.compare.shared_images import _same_pixels, divergence, pair, rank_correlation
from tests.atlas.synthetic import synthetic_run

RNG = np.random.default_rng(0)


def test_distances_are_scipys():
    p, q = RNG.dirichlet(np.ones(12), (2, 7))
    expected = scipy.spatial.distance.jensenshannon(p, q, base=2, axis=1) ** 2
    np.testing.assert_allclose(divergence(p, q), expected, rtol=1e-9)
    expected = [scipy.stats.spearmanr(a, b).statistic for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(rank_correlation(p, q), expected, rtol=1e-9)


def test_a_flow_without_mass_has_no_distance():
    p, q = np.zeros((1, 4)), np.full((1, 4), 0.25)
    assert np.isnan(divergence(p, q)[0])
    assert np.isnan(rank_correlation(p, q)[0])
    assert divergence(np.eye(4)[:1], np.eye(4)[1:2])[0] == 1


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return synthetic_run(tmp_path_factory.mktemp("run"), images=300, classes=4, seed=1)


def test_a_run_equals_itself(run):
    found = pair(run, run)
    status = run.summary().to_table(columns=["status"])["status"].to_numpy()
    assert len(found.rows) == (status == 1).sum()
    assert np.nanmax(found.jsd) < 1e-9
    assert np.nanmin(found.correlation) > 1 - 1e-9
    assert (found.predicted[0] == found.predicted[1]).all()


def test_grids_that_differ_meet_on_the_coarser_one(run, tmp_path):
    """The same images on a grid twice as fine: more alike than other images are."""
    fine = synthetic_run(tmp_path / "fine", images=300, classes=4, seed=1, grid=(12, 12))
    other = synthetic_run(tmp_path / "other", images=300, classes=4, seed=9, grid=(12, 12))
    same, apart = pair(run, fine), pair(run, other)
    assert np.nanmean(same.jsd) < np.nanmean(apart.jsd)
    assert np.nanmean(pair(fine, run).jsd) == pytest.approx(np.nanmean(same.jsd))


def test_images_are_known_by_their_uris(run, tmp_path):
    """A run of other labels has other URIs at all but some rows."""
    other = synthetic_run(tmp_path, images=200, classes=5, seed=1)
    found = pair(run, other)
    assert set(found.rows % 20) <= {0, 1, 2, 3}
    assert 0 < len(found.rows) <= 40


def test_one_name_for_two_images_is_no_pair():
    """Numbered files of two splits: other sizes, other hashes."""
    one = {key: np.array(values) for key, values in PIXELS.items()}
    other = {key: values.copy() for key, values in one.items()}
    other["height"][1] = 9
    other["phash"][2:] ^= [0b111, 0b11110000]
    assert _same_pixels(one, other, seen_alike=True).tolist() == [True, False, True, False]
    assert _same_pixels(one, other, seen_alike=False).tolist() == [True, False, True, True]
    del other["phash"]
    assert _same_pixels(one, other, seen_alike=True).tolist() == [True, False, True, True]


PIXELS = {"width": [8] * 4, "height": [8] * 4, "phash": [-1, 5, 2**62, 7]}
