import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.head_groups import group_heads, overall_mean

KINDS = np.array([[0.1, 0.05, 0.8], [0.9, 0.5, 0.1], [0.5, 0.2, 0.4]])


def planted(seed, layers=6, heads=4, noise=0.01):
    """Heads of three kinds, anywhere; what they do differs a little from class to class."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, (layers, heads))
    kind.flat[:3] = range(3)
    mean = KINDS[kind] + rng.normal(0, noise, (5, layers, heads, 3))
    return kind, mean, np.full(mean.shape, 7)


@given(st.integers(0, 1000))
def test_planted_kinds_are_found_and_only_they(seed):
    kind, mean, known = planted(seed)
    found = group_heads(mean, known)
    pairs = {*zip(found.group.flat, kind.flat, strict=True)}
    assert len(pairs) == 3
    assert found.silhouette > 0.8
    for number, own in pairs:
        assert np.allclose(found.profile[number], KINDS[own], atol=0.02)


@given(st.integers(0, 1000))
def test_the_order_of_heads_within_layers_does_not_matter(seed):
    _, mean, known = planted(seed)
    order = np.random.default_rng(seed).permutation(mean.shape[2])
    plain, mixed = group_heads(mean, known), group_heads(mean[:, :, order], known)
    pairs = {*zip(plain.group[:, order].flat, mixed.group.flat, strict=True)}
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def test_heads_that_a_layer_lacks_are_in_no_group_and_kinds_of_queries_stay_apart():
    _, mean, known = planted(0)
    mean = np.concatenate([mean, np.full_like(mean, np.nan)], axis=3)
    mean[:, 5, :, :3] = np.nan  # a last layer in which only a token asks
    mean[:, 5, :2, 3:] = 0.3
    known = np.where(np.isfinite(mean), 7, 0)
    found = group_heads(mean, known)
    assert (found.group[5, 2:] == -1).all()
    assert (found.group[5, :2] >= 0).all()
    assert not set(found.group[5, :2]) & set(found.group[:5].flat)


def test_the_overall_mean_weighs_classes_by_their_images():
    mean = np.array([[[[0.2]]], [[[0.8]]], [[[np.nan]]]])
    known = np.array([[[[3]]], [[[1]]], [[[0]]]])
    assert np.allclose(overall_mean(mean, known), 0.35)
