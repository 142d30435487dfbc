import numpy as np
import pytest

from pipeline.atlas import aggregate
from pipeline.audit.patterns.landmarks import (
    NEIGHBOURS,
    Landmarks,
    choose_landmarks,
    flows_by_class,
    nearest,
)
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(tmp_path_factory.mktemp("run"), 900, 3, seed=2, layers=2, grid=(9, 14))
    aggregate(run, workers=1)
    return run


@pytest.fixture(scope="module")
def images(run):
    return run.summary().to_table().to_pandas().set_index("row")


def test_pooled_flows_keep_where_the_mass_is(run):
    unit = run.units[0]
    flow = run.read_maps(unit.lo, unit.hi).sum(1)
    found = run.atlas().pooled(unit.lo, unit.hi)
    total = flow.sum((1, 2))
    assert found.shape == (len(unit), 7, 7)
    assert ((found.sum((1, 2)) == 0) == (total == 0)).all()
    np.testing.assert_allclose(found.sum((1, 2))[total > 0], 1)
    halves = flow[:, :, :6].sum((1, 2))[total > 0] / total[total > 0]
    np.testing.assert_allclose(found[:, :, :3].sum((1, 2))[total > 0], halves, atol=0.001)


def test_landmarks_are_a_sample_of_each_class(run, images):
    found = choose_landmarks(run.atlas("label"))
    assert sorted(found) == [0, 1, 2]
    for number, item in found.items():
        own = images.loc[item.rows]
        assert (own["label"] == number).all()
        assert (own["status"] == 1).all()
        assert 240 < len(item.rows) <= 256
        assert len(set(item.rows.tolist())) == len(item.rows)
        assert 300 < np.median(item.rows) < 600
    again = choose_landmarks(run.atlas("label"))
    assert all((again[number].rows == found[number].rows).all() for number in found)


def test_every_image_with_mass_is_a_member_once(run, images):
    parts = list(flows_by_class(run, run.atlas("predicted")))
    rows = np.concatenate([part.rows for part in parts])
    expected = images.index[(images["status"] == 1) & (images["mass_flow"] > 0)]
    assert sorted(rows.tolist()) == sorted(expected.tolist())
    for part in parts[:5]:
        own = images.loc[part.rows]
        assert (own["pred"] == part.class_id).all()
        assert (part.wrong == 1 - own["correct"].astype(int)).all()


def test_distances_are_those_of_hellinger():
    rng = np.random.default_rng(0)
    maps = rng.dirichlet(np.ones(6), 30)
    landmarks = Landmarks(0, np.arange(30), maps)
    other = rng.dirichlet(np.ones(6), 4)
    place, distance = nearest(landmarks, other)
    apart = np.linalg.norm(np.sqrt(other)[:, None] - np.sqrt(maps), axis=2) / np.sqrt(2)
    assert (place == apart.argmin(1)).all()
    np.testing.assert_allclose(distance, np.sort(apart, 1)[:, NEIGHBOURS - 1])
    own = np.linalg.norm(np.sqrt(maps)[:, None] - np.sqrt(maps), axis=2) / np.sqrt(2)
    place, distance = nearest(landmarks, maps)
    assert (place == np.arange(30)).all()
    np.testing.assert_allclose(distance, np.sort(own, 1)[:, NEIGHBOURS])


def test_few_landmarks_are_enough():
    place, distance = nearest(Landmarks(0, np.array([4]), np.eye(3)[:1]), np.eye(3))
    assert place.tolist() == [0, 0, 0]
    np.testing.assert_allclose(distance, [0, 1, 1])
