import numpy as np
import pytest
import torch

from pipeline.flows import render
from pipeline.report.pictures.frames import draw_frames


def test_columns_are_the_accumulated_flow_and_every_layer_alone():
    flows = np.random.default_rng(1).random((2, 3, 6, 8)).astype(np.float32)
    found = draw_frames(flows, (6, 8))
    assert found.levels.shape == (4, 3, 6, 8)
    for flow, levels in zip(flows, (found.levels[:2], found.levels[2:]), strict=True):
        maps = torch.from_numpy(flow)
        assert (levels[0] == render(maps[None], (6, 8))[0].numpy()).all()
        for layer in range(3):
            alone = render(maps[layer : layer + 1][None], (6, 8))[0, 0].numpy()
            assert (levels[1, layer] == alone).all()


def test_the_colours_stand_for_multiples_of_a_uniform_map():
    flows = np.random.default_rng(2).random((1, 4, 5, 5)).astype(np.float32)
    found = draw_frames(flows, (5, 5))
    for layer in range(4):
        for column, map_ in ((0, flows[0, : layer + 1].sum(0)), (1, flows[0, layer])):
            low, middle, high = found.lifts[column, layer]
            assert low == pytest.approx(map_.min() / map_.mean(), rel=1e-4)
            assert high == pytest.approx(map_.max() / map_.mean(), rel=1e-4)
            levels = found.levels[column, layer]
            above = map_ / map_.mean() > middle
            assert (above == (levels > 127)).mean() > 0.95


def test_a_layer_without_mass_has_no_lifts():
    flows = np.ones((1, 2, 3, 3), np.float32)
    flows[0, 0] = 0
    lifts = draw_frames(flows, (3, 3)).lifts
    assert np.isnan(lifts[:, 0]).all()
