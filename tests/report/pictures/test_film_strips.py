import numpy as np
import pytest

from pipeline.atlas import open_atlas
from pipeline.report.pictures.film_strips import bright, class_strips, run_strip, thumbnails
from pipeline.report.pictures.palettes import INFERNO
from tests.report.pictures.test_sprites import shown


@pytest.fixture(scope="module")
def atlas(run):
    return open_atlas(run, "label")


def test_class_strips_put_every_layer_of_three_maps_into_one_sprite(atlas):
    figure, strips = class_strips(atlas, 2, (0.1, 0.2, 0.3, 0.4))
    assert [strip.first for strip in strips] == [0, 4, 8]
    assert strips[1].shares == (0.1, 0.2, 0.3, 0.4)
    for strip, values in zip(
        strips,
        (atlas.flow_mean[2], atlas.mean[2], np.sqrt(atlas.flow_variance[2])),
        strict=True,
    ):
        top = strip.bright / (6 * 8)
        assert np.mean(values > top) == pytest.approx(0.025, abs=0.01)
        expected = colours(values[3], top)
        assert (shown(figure, strip.first + 3) == expected).all()


def colours(values, top):
    return INFERNO[np.rint(255 * np.clip(values / top, 0, 1)).astype(int)]


def test_run_strip_is_the_mean_over_all_images(run, atlas):
    maps = run.read_maps(0, run.spec.rows).astype(np.float64)
    flow = maps.cumsum(axis=1)[:, -1]
    mass = flow.sum(axis=(1, 2), keepdims=True)
    used = mass[:, 0, 0] > 0
    mean = (flow[used] / mass[used]).mean(axis=0)
    figure, strip = run_strip(atlas)
    expected = colours(mean, strip.bright / mean.size)
    assert np.abs(shown(figure, 3).astype(int) - expected).max() <= 4


def test_thumbnails_are_in_the_order_asked_for(atlas):
    figure = thumbnails(atlas, [5, 0, 2])
    assert (figure.rows, figure.columns) == (2, 2)
    last = atlas.flow_mean[2, -1]
    assert (shown(figure, 2) == colours(last, bright(last))).all()
    assert thumbnails(atlas, []).grid == (6, 8)


def test_lone_cells_do_not_darken_the_rest():
    values = np.full((1, 10, 10), 1.0)
    values[0, 0, 0] = 1000
    assert bright(values) == 1
    assert bright(np.eye(10)[None] * np.eye(10)[0]) == 1
    assert bright(np.full((1, 2, 2), np.nan)) == 0
