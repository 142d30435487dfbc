import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas.members import Members
from pipeline.atlas.sums import ONE
from pipeline.atlas.typical import Ranked, distances, empty, merge, unit_extremes

images = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20)


def ranked(items, first=0):
    classes, keys = (np.array([item[i] for item in items], np.int64) for i in (0, 1))
    return Ranked(classes, keys, np.arange(first, first + len(items)))


def rows(found):
    return list(zip(found.classes.tolist(), found.keys.tolist(), found.rows.tolist(), strict=True))


@given(images, images, images, st.integers(1, 4))
def test_merging_is_a_commutative_monoid_that_keeps_the_best(a, b, c, k):
    x, y, z = ranked(a), ranked(b, 100), ranked(c, 200)
    assert rows(merge([x, y], k)) == rows(merge([y, x], k))
    assert rows(merge([merge([x, y], k), z], k)) == rows(merge([x, merge([y, z], k)], k))
    assert rows(merge([x, empty()], k)) == rows(merge([x], k))
    everything = sorted(rows(x) + rows(y) + rows(z))
    best = [item for group in range(4) for item in [i for i in everything if i[0] == group][:k]]
    assert rows(merge([x, y, z], k)) == best


def drawn(n=40, classes=3, layers=2, grid=(3, 3), seed=0):
    rng = np.random.default_rng(seed)
    maps = rng.gamma(0.5, 1, (n, layers, *grid)).astype(np.float32)
    maps[0] = 0
    maps[1, 0] = 0
    maps[3] = maps[2]
    label = rng.integers(-1, classes, n)
    label[:4] = 1
    members = Members(np.arange(n) + 1000, rng.random(n) > 0.1, {"label": label}, label)
    members.ok[:4] = True
    return maps, members


def brute_force(maps, members):
    """Mean over the defined layers of the total variation to the class mean, two passes."""
    flow = maps.astype(np.float64).cumsum(1)
    mass = flow.sum((2, 3))
    with np.errstate(invalid="ignore"):
        p = flow / mass[..., None, None]
    label = members.classes["label"]
    mean = np.stack(
        [np.nanmean(p[members.ok & (label == group)], axis=0) for group in range(label.max() + 1)]
    )
    apart = np.abs(p - mean[label]).sum((2, 3)) / 2
    apart[0] = np.nan
    apart[1, 0] = np.nan
    with np.errstate(invalid="ignore"):
        return mean, np.array([np.nan if np.isnan(row).all() else np.nanmean(row) for row in apart])


def test_distances_equal_two_passes_of_float64():
    maps, members = drawn()
    mean, expected = brute_force(maps, members)
    found = distances(members, maps, {"label": mean})["label"]
    used = members.ok & (members.classes["label"] >= 0)
    used[0] = False
    assert (found[~used] == -1).all()
    np.testing.assert_allclose(found[used] / ONE, expected[used], atol=2.0**-33)
    assert (found[used] <= ONE).all()


def test_nearest_and_farthest_images_of_every_class():
    maps, members = drawn()
    mean, expected = brute_force(maps, members)
    found = unit_extremes(members, maps, {"label": mean}, 3)["label"]
    label = members.classes["label"]
    for group in range(3):
        used = np.flatnonzero(members.ok & (label == group) & ~np.isnan(expected))
        order = used[np.argsort(expected[used], kind="stable")]
        own = found.typical.rows[found.typical.classes == group] - 1000
        assert own.tolist() == order[:3].tolist()
        own = found.atypical.rows[found.atypical.classes == group] - 1000
        assert np.array_equal(expected[own], expected[order[::-1][:3]])


def test_equal_images_are_ranked_by_row():
    maps, members = drawn()
    mean, _ = brute_force(maps, members)
    found = unit_extremes(members, maps, {"label": mean}, 40)["label"]
    for kind in (found.typical, found.atypical):
        places = kind.rows.tolist()
        assert places.index(1003) == places.index(1002) + 1
