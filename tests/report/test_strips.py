import numpy as np
import pytest

from pipeline.atlas import open_atlas
from pipeline.report.figures import PALETTE
from pipeline.report.strips import class_strips, run_strip, thumbnails
from tests.report.test_figures import shown


@pytest.fixture(scope="module")
def atlas(run):
    return open_atlas(run, "label")


def test_class_strips_put_every_layer_of_three_maps_into_one_sprite(atlas):
    figure, strips = class_strips(atlas, 2, (0.1, 0.2, 0.3, 0.4))
    assert [strip.first for strip in strips] == [0, 4, 8]
    assert strips[1].shares == (0.1, 0.2, 0.3, 0.4)
    cells = 6 * 8
    assert strips[0].peak == pytest.approx(atlas.flow_mean[2].max() * cells)
    assert strips[1].peak == pytest.approx(atlas.mean[2].max() * cells)
    assert strips[2].peak == pytest.approx(np.sqrt(atlas.flow_variance[2].max()) * cells)
    raw = atlas.mean[2]
    assert (shown(figure, 4 + 3) == PALETTE[np.rint(255 * raw[3] / raw.max()).astype(int)]).all()


def test_run_strip_is_the_mean_over_all_images(run, atlas):
    maps = run.read_maps(0, run.spec.rows).astype(np.float64)
    flow = maps.cumsum(axis=1)[:, -1]
    mass = flow.sum(axis=(1, 2), keepdims=True)
    used = mass[:, 0, 0] > 0
    mean = (flow[used] / mass[used]).mean(axis=0)
    figure, strip = run_strip(atlas)
    expected = PALETTE[np.rint(255 * mean / (strip.peak / mean.size)).astype(int)]
    assert np.abs(shown(figure, 3).astype(int) - expected).max() <= 4


def test_thumbnails_are_in_the_order_asked_for(atlas):
    figure = thumbnails(atlas, [5, 0, 2])
    assert (figure.rows, figure.columns) == (2, 2)
    last = atlas.flow_mean[2, -1]
    assert (shown(figure, 2) == PALETTE[np.rint(255 * last / last.max()).astype(int)]).all()
    assert thumbnails(atlas, []).grid == (6, 8)
