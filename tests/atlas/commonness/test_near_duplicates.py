import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.atlas.commonness.embeddings import COSINE, cosines, directions, sides
from pipeline.atlas.commonness.near_duplicates import (
    ALIKE,
    Images,
    count_near_duplicates,
    near_duplicates_of,
)
from pipeline.errors import RunIncomplete
from tests.atlas.synthetic import copies, draw, synthetic_run


def drawn(seed, n=60, channels=6):
    """Images some of which are alike in hash, pixels or embedding, and some in several."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 8, n)
    hashes = rng.integers(0, 1 << 62, 8)[base]
    for _ in range(3):
        hashes = hashes ^ np.where(rng.random(n) < 0.5, 1 << rng.integers(0, 60, n), 0)
    hashes[rng.random(n) < 0.2] = -1
    pixels = np.repeat([[0.5, 0.2, 0.1]], n, axis=0) + 0.02 * rng.random((n, 3))
    pixels[rng.random(n) < 0.2] = np.nan
    features = rng.standard_normal((8, channels))[rng.integers(0, 8, n)]
    features = features + 0.3 * rng.random((n, 1)) * rng.standard_normal((n, channels))
    return Images(hashes, pixels, directions(features.astype(np.float32)))


def near(images, one, other):
    """The definition, for pairs of images."""
    found = images.hashed_alike(one, other)
    if images.vectors.shape[1]:
        keys = sides(images.vectors)
        met = (keys[:, one] == keys[:, other]).any(axis=0)
        found |= met & (cosines(images.vectors[one], images.vectors[other]) >= COSINE)
    return found


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([0, 6]))
def test_numbers_are_those_of_comparing_every_pair(seed, channels):
    images = drawn(seed, channels=6)
    if not channels:
        images = Images(images.hashes, images.pixels, images.vectors[:, :0])
    rng = np.random.default_rng(seed)
    times, first = rng.integers(1, 5, 60), rng.permutation(60) * 7
    count, lowest = count_near_duplicates(images, times, first)
    for i in range(60):
        own = near(images, np.full(60, i), np.arange(60))
        own[i] = True
        assert count[i] == times[own].sum()
        assert lowest[i] == first[own].min()


def test_pixels_that_differ_are_no_near_duplicates():
    pixels = np.zeros((2 * len(ALIKE) + 1, 3))
    for i, limit in enumerate(ALIKE.values()):
        pixels[2 * i + 1, i], pixels[2 * i + 2, i] = 0.99 * limit, 1.01 * limit
    hashes = np.full(len(pixels), 5)
    images = Images(hashes, pixels, np.empty((len(pixels), 0), np.float32))
    alike = images.hashed_alike(np.zeros(len(pixels), int), np.arange(len(pixels)))
    assert alike.tolist() == [True, *[True, False] * len(ALIKE)]


def test_copies_of_a_run_are_counted_and_others_are_alone(tmp_path):
    run = synthetic_run(tmp_path, 200, 4, seed=1, unit_rows=64, hashes=True, copied=(2, 30))
    count, first = near_duplicates_of(run)
    rows = copies(draw(200, 4, 1, 3, (6, 6), None, 0.25, 0.1), 2)[:30]
    others = np.setdiff1d(np.arange(200), rows)
    assert (count[rows] == 30).all()
    assert (first[rows] == rows[0]).all()
    assert (count[others] == 1).all()
    assert np.array_equal(first[others], others)


def test_a_run_without_hashes_and_embeddings_is_refused(tmp_path):
    with pytest.raises(RunIncomplete, match="features: true"):
        near_duplicates_of(synthetic_run(tmp_path, 20, 2))
