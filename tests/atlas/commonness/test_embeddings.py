import numpy as np
import pytest

from pipeline.atlas.commonness import embeddings
from pipeline.atlas.commonness.embeddings import (
    COSINE,
    close_directions,
    cosines,
    directions,
    sides,
)


def features(n=400, channels=40, copies=60, noise=0.2, seed=0):
    """Features with an offset, the last ``copies`` of which are more or less changed images."""
    rng = np.random.default_rng(seed)
    own = 3 + rng.standard_normal((n, channels))
    changed = own[rng.integers(0, n, copies)] + noise * rng.random((copies, 1)) * (
        rng.standard_normal((copies, channels))
    )
    return np.concatenate([own, changed]).astype(np.float32)


def found(vectors):
    return sorted(
        pair
        for left, right in close_directions(vectors)
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    )


@pytest.mark.parametrize("together", [1 << 12, 50])
@pytest.mark.parametrize("channels", [3, 12, 40])
def test_pairs_are_those_of_brute_force_each_once(channels, together, monkeypatch):
    monkeypatch.setattr(embeddings, "_TOGETHER", together)
    monkeypatch.setattr(embeddings, "_PAIRS", 100)
    vectors = directions(features(channels=channels, noise=0.6))
    n = len(vectors)
    one, other = np.triu_indices(n, 1)
    alike = cosines(vectors[one], vectors[other]) >= COSINE
    keys = sides(vectors)
    met = (keys[:, one] == keys[:, other]).any(axis=0)
    pairs = np.stack([one, other], 1)
    assert found(vectors) == [tuple(pair) for pair in pairs[alike & met].tolist()]
    assert alike.sum() > 10
    if channels > 3:
        assert (alike & met).sum() > 0.95 * alike.sum()


@pytest.mark.parametrize(("cosine", "share"), [(0.95, 0.96), (0.97, 0.99)])
def test_as_many_pairs_meet_as_is_promised(cosine, share):
    """Pairs with one cosine, in many directions; a binomial bound on the share that meets."""
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 4000, 64))
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    other -= (one * other).sum(1, keepdims=True) * one
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    other = cosine * one + np.sqrt(1 - cosine**2) * other
    keys = [sides(part.astype(np.float32)) for part in (one, other)]
    met = (keys[0] == keys[1]).any(axis=0).mean()
    assert abs(met - share) < 4 * np.sqrt(share * (1 - share) / 4000) + 0.005


def test_directions_are_those_from_the_mean_whatever_the_order():
    own = features()
    vectors = directions(own)
    apart = own.astype(np.float64) - own.mean(axis=0, dtype=np.float64)
    expected = apart / np.linalg.norm(apart, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, atol=2e-6)
    order = np.random.default_rng(1).permutation(len(own))
    assert np.array_equal(directions(own[order]), vectors[order])


def test_equal_features_point_nowhere():
    vectors = directions(np.ones((3, 5), np.float32))
    assert not vectors.any()
    assert found(vectors) == []
    assert found(np.empty((0, 4), np.float32)) == []
