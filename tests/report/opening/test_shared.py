from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from pipeline.report.opening.shared import find_shared


def atlas(maps, sinks=None):
    classes = len(maps)
    maps = np.asarray(maps, float)
    maps /= maps.sum((1, 2), keepdims=True)
    moments = (np.full(classes, sinks or 0.0), np.zeros(classes), np.full(classes, 30))
    return SimpleNamespace(
        count=np.full(classes, 30),
        n_zero=np.zeros(classes, int),
        weight_with_mass=np.full(classes, 30),
        flow_mean=maps[:, None],
        columns={"sink_cells": "count"} if sinks else {},
        column_moments=lambda _: moments,
    )


def blobs(classes=10, side=8):
    y, x = np.mgrid[:side, :side]
    return np.stack(
        [np.exp(-((y - 3.5) ** 2 + (x - 3.5 - k / 9) ** 2) / 8) for k in range(classes)]
    )


def test_what_lies_in_the_middle_of_every_class_is_no_artefact():
    assert find_shared(atlas(blobs())) is None
    maps = blobs()
    maps[:, 4, 3] = maps[:, 4, 4] = 8
    assert find_shared(atlas(maps)) is None


def test_cells_that_stand_out_everywhere_are_named():
    maps = blobs()
    maps[:9, 0, 0] = maps[:, 7, 7] = 4
    found = find_shared(atlas(maps, sinks=4.0))
    assert found.cells == ((0, 0), (7, 7))
    assert (found.least, found.most, found.classes, found.sinks) == (9, 10, 10, 4.0)
    assert found.place == "2 corner cells"
    shares = maps / maps.sum((1, 2), keepdims=True)
    assert found.brightest == pytest.approx(64 * shares[:, [0, 7], [0, 7]].max())


@pytest.mark.parametrize(("cell", "place"), [((0, 3), "cell at the border"), ((5, 1), "cell")])
def test_the_place_is_named_as_what_it_is(cell, place):
    maps = blobs()
    maps[:, cell[0], cell[1]] = 4
    assert find_shared(atlas(maps)).place == place


def test_what_some_classes_have_is_not_shared():
    maps = blobs()
    maps[:8, 0, 0] = 4
    assert find_shared(atlas(maps)) is None


def test_the_mask_has_a_hole_for_every_cell():
    maps = blobs()
    maps[:, 0, 7] = 4
    mask = find_shared(atlas(maps)).mask
    assert "M7 0h1v1h-1z" in unquote(mask)
    assert not set(mask) & set("<>\"'")
