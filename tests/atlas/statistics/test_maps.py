import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.atlas.statistics.maps import BLOCK, Workspace, add_maps, finish_maps, shapes
from pipeline.atlas.statistics.membership import Members
from pipeline.atlas.statistics.sums import ONE, WEIGHT_ONE, ClassSums

CLASSES, LAYERS, GRID = 4, 3, (3, 4)


def images(seed=0, n=3 * BLOCK + 5):
    rng = np.random.default_rng(seed)
    maps = rng.gamma(0.5, 1.0, (n, LAYERS, *GRID)).astype(np.float32)
    maps *= 10.0 ** rng.integers(-8, 3, (n, 1, 1, 1)).astype(np.float32)
    maps[rng.random((n, LAYERS)) < 0.1] = 0
    maps[3] = 0
    correct = rng.integers(-1, 2, n)
    label = rng.integers(-1, CLASSES - 1, n)
    return maps, Members(
        rows=np.arange(n),
        ok=rng.random(n) > 0.1,
        cells=np.stack([label, np.where(label == 0, CLASSES - 1, -1)], axis=1),
        correct=correct,
    )


PARTS = np.arange(CLASSES)[:, None]


def summed(maps, members):
    total = ClassSums(CLASSES, shapes(LAYERS, GRID))
    add_maps(total, members, maps, np.ones(maps.shape[:2], np.float32))
    return total


def of_cell(members, cell):
    return (members.cells == cell).any(axis=1)


def test_means_and_variances_equal_two_passes_of_float64():
    maps, members = images()
    found = finish_maps(summed(maps, members), PARTS)
    raw = maps.astype(np.float64)
    for part, mean, variance, zero in (
        (raw, found.mean, found.variance, found.zero),
        (raw.cumsum(1), found.flow_mean, found.flow_variance, found.flow_zero),
    ):
        for group in range(CLASSES):
            own = part[members.ok & of_cell(members, group)]
            for layer in range(LAYERS):
                mass = own[:, layer].sum((1, 2))
                p = own[mass > 0, layer] / mass[mass > 0, None, None]
                assert zero[group, layer] == (mass == 0).sum()
                if len(p):
                    np.testing.assert_allclose(mean[group, layer], p.mean(0), atol=2.0**-33)
                    np.testing.assert_allclose(variance[group, layer], p.var(0), atol=2.0**-30)
                else:
                    assert np.isnan(mean[group, layer]).all()
                    assert np.isnan(variance[group, layer]).all()


def test_images_are_counted():
    maps, members = images()
    found = summed(maps, members)
    ok, correct = members.ok, members.correct
    for group in range(CLASSES):
        own = of_cell(members, group)
        assert found.count[group] == (own & ok).sum()
        for name, expected in {
            "weight": ok,
            "square": ok * WEIGHT_ONE,
            "quarantined": ~ok,
            "labelled": ok & (correct >= 0),
            "correct": ok & (correct == 1),
        }.items():
            assert found[name][group] == (own * expected).sum() * WEIGHT_ONE, name


def test_stored_maps_are_multiplied_by_their_scale():
    maps, members = images()
    scale = (2.0 ** np.random.default_rng(1).integers(-9, 9, maps.shape[:2])).astype(np.float32)
    total = ClassSums(CLASSES, shapes(LAYERS, GRID))
    pooled = add_maps(total, members, maps / scale[:, :, None, None], scale)
    assert np.array_equal(total["maps"], summed(maps, members)["maps"])
    last = maps.astype(np.float64).sum(1)
    expected = last / np.maximum(last.sum((1, 2), keepdims=True), 1e-30)
    used = members.ok & (members.cells >= 0).any(1)
    np.testing.assert_allclose(pooled[used] / 2**15, expected[used], atol=2.0**-15)
    assert not pooled[~used].any()


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 53), max_size=6))
def test_any_order_and_any_cut_gives_the_same_bits(random, cuts):
    maps, members = images()
    rows = list(range(len(maps)))
    random.shuffle(rows)
    pieces = [np.array(piece, int) for piece in np.split(np.array(rows), sorted(cuts))]
    random.shuffle(pieces)
    whole = summed(maps, members)
    parts = ClassSums.merged([summed(maps[piece], members.take(piece)) for piece in pieces])
    assert np.array_equal(whole.count, parts.count)
    assert np.array_equal(whole.present, parts.present)
    for name in whole.shapes:
        assert np.array_equal(whole[name], parts[name]), name


def test_a_map_with_one_cell_fills_the_fixed_point():
    maps = np.zeros((1, LAYERS, *GRID))
    maps[:, :, 1, 2] = 1e-30
    fixed, zero = Workspace((LAYERS, *GRID)).fixed_point(maps, np.ones((1, LAYERS), np.float32))
    assert (fixed[:, :, :, 1, 2] == ONE).all()
    assert fixed.sum() == 4 * LAYERS * ONE
    assert not zero.any()


def test_a_quarantined_image_is_not_in_the_mean():
    maps, members = images(seed=1)
    changed = maps.copy()
    changed[~members.ok] = 7
    assert np.array_equal(summed(maps, members)["maps"], summed(changed, members)["maps"])
