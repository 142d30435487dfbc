import numpy as np

from pipeline.atlas.statistics.covariance import add_pooled, finish_axes, shapes
from pipeline.atlas.statistics.membership import Members, Tables
from pipeline.atlas.statistics.pooled import POOLED_ONE
from pipeline.atlas.statistics.projections import Projections, bimodality, project
from pipeline.atlas.statistics.sums import ONE, WEIGHT_ONE, ClassSums

CELLS, CLASSES = 9, 3
TABLES = Tables(("label",), tuple("abc"))


def drawn(n=300, seed=0, split=False):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(CELLS, 20), n)
    if split:
        p[: n // 2] = rng.dirichlet(np.r_[400, np.full(CELLS - 1, 20)], n // 2)
    pooled = np.rint(p * POOLED_ONE).astype(np.uint16)
    pooled[0] = 0
    label = np.zeros(n, int) if split else rng.integers(0, CLASSES, n)
    right = np.ones(n, int)
    cells = np.stack([label, np.full(n, -1)], axis=1)
    return pooled, Members(np.arange(n) + 1000, rng.random(n) > 0.05, cells, right)


def axes_of(pooled, members):
    total = ClassSums(TABLES.cells, shapes(CELLS))
    add_pooled(total, members, pooled)
    return {"label": finish_axes(total, TABLES.parts("label"))}


def found_in(pooled, members, k=5):
    return project(members, pooled, TABLES, axes_of(pooled, members), k)["label"]


def test_the_nearest_and_the_farthest_images_of_every_class():
    pooled, members = drawn()
    found = found_in(pooled, members)
    used = members.ok & pooled.any(1)
    for group in range(CLASSES):
        own = np.flatnonzero(used & (members.cells[:, 0] == group))
        p = pooled[own] / POOLED_ONE
        apart = np.abs(p - p.mean(0)).sum(1) / 2
        order = own[np.argsort(apart, kind="stable")] + 1000
        near = found.typical.rows[found.typical.classes == group]
        assert near.tolist() == order[:5].tolist()
        far = found.atypical.rows[found.atypical.classes == group]
        assert far.tolist() == order[::-1][:5].tolist()
        keys = found.typical.keys[found.typical.classes == group] / ONE
        np.testing.assert_allclose(keys, np.sort(apart)[:5], atol=1e-9)


def test_parts_make_the_whole_in_any_order():
    pooled, members = drawn()
    axes = axes_of(pooled, members)
    whole = project(members, pooled, TABLES, axes, 4)["label"]
    cuts = [slice(200, 300), slice(0, 50), slice(50, 200)]
    parts = [project(members.take(c), pooled[c], TABLES, axes, 4)["label"] for c in cuts]
    one = Projections.merged([Projections.merged(parts[:2], 4), parts[2]], 4)
    other = Projections.merged([parts[2], Projections.merged(parts[1::-1], 4)], 4)
    for found in (one, other):
        for kind in ("typical", "atypical", "sample"):
            assert np.array_equal(getattr(found, kind).rows, getattr(whole, kind).rows)
        for name in ("power", "histogram"):
            assert np.array_equal(found.scores[name], whole.scores[name])


def test_the_sample_is_random_but_always_the_same_rows(monkeypatch):
    monkeypatch.setattr("pipeline.atlas.statistics.projections.SAMPLE", 20)
    pooled, members = drawn()
    found = found_in(pooled, members).sample
    assert (np.bincount(found.classes) == 20).all()
    assert np.array_equal(found.pooled, pooled[found.rows - 1000])
    fewer = members.take(np.arange(150))
    less = found_in(pooled[:150], fewer).sample
    both = set(found.rows[found.rows < 1150]) - set(less.rows)
    assert not both


def test_two_kinds_of_images_are_two_hills_along_the_axis():
    one, two = (found_in(*drawn(600, split=split)).scores for split in (False, True))
    assert bimodality(one)[0] < 0.45
    assert bimodality(two)[0] > 0.7
    assert np.isnan(bimodality(two)[1])
    assert two["histogram"].sum() == two.count.sum() * WEIGHT_ONE
    assert two.count.sum() > 500


def test_bimodality_is_sarles_coefficient():
    pooled, members = drawn(400)
    axes = axes_of(pooled, members)["label"]
    found = bimodality(found_in(pooled, members).scores)
    used = members.ok & pooled.any(1) & (members.cells[:, 0] == 2)
    score = (pooled[used] / POOLED_ONE - axes.mean[2]) @ axes.axes[2, 0]
    z = (score - score.mean()) / score.std()
    assert abs(found[2] - ((z**3).mean() ** 2 + 1) / (z**4).mean()) < 1e-4
