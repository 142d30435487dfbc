import numpy as np
import pytest

from pipeline.atlas import aggregate
from pipeline.audit.compare.grids import coarsen
from pipeline.audit.compare.mean_flows import MAPPED, MAPS_SCHEMA, mean_flows
from tests.atlas.synthetic import synthetic_run


def atlas_of(folder, **options):
    run = synthetic_run(folder, images=240, classes=16, **options)
    aggregate(run, workers=1)
    return run.atlas()


@pytest.fixture(scope="module")
def atlases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return atlas_of(folder / "one"), atlas_of(folder / "fine", seed=3, grid=(9, 12))


def maps(row, name):
    return np.array(row[name]).reshape(row["height"], row["width"])


def test_each_class_has_the_mean_flow_of_its_atlas(atlases):
    one, fine = atlases
    table = mean_flows(one, fine, [5, 2])
    assert table.schema.equals(MAPS_SCHEMA)
    whole, five, two = table.to_pylist()
    assert [whole["class"], five["class"], two["class_name"]] == [None, 5, "class 2"]
    np.testing.assert_allclose(maps(five, "flow"), one.mean_flow(5)[-1], rtol=1e-6)
    expected = coarsen(fine.mean_flow(5)[-1], (6, 6))
    np.testing.assert_allclose(maps(five, "other_flow"), expected, rtol=1e-6)
    for row in (whole, five, two):
        for name in ("flow", "other_flow"):
            assert maps(row, name).sum() == pytest.approx(1, rel=1e-5)


def test_the_whole_is_the_mean_of_all_images_and_the_other_in_their_mix(atlases):
    one, fine = atlases
    whole = mean_flows(one, fine, []).to_pylist()[0]
    weights = (one.count - one.n_zero) / (one.count - one.n_zero).sum()
    for atlas, name in ((one, "flow"), (fine, "other_flow")):
        expected = coarsen(np.tensordot(weights, atlas.flow_mean[:, -1], 1), (6, 6))
        np.testing.assert_allclose(maps(whole, name), expected, rtol=1e-5)


def test_only_the_first_classes_are_kept(atlases):
    assert len(mean_flows(*atlases, list(range(16)))) == 1 + MAPPED
