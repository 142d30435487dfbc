"""Deletion and insertion against curves drawn by hand."""

import numpy as np
import pytest
import torch

from pipeline.audit.evaluation.faithfulness import deletion_and_insertion


def mean(images):
    return images.mean((1, 2, 3))


def test_both_curves_by_hand():
    image, fill = torch.zeros(3, 4, 4), torch.ones(3, 4, 4)
    image[:, :2, :2] = 1.0  # one of four cells shows what the fill shows
    p = np.array([4.0, 3.0, 2.0, 1.0])
    found = deletion_and_insertion(image, fill, {"one": p}, (2, 2), mean, 4)
    deletion, insertion = found["one"]
    # 1/4 of the pixels are 1 at first; hiding the first cell changes nothing, each other adds 1/4.
    assert deletion == pytest.approx(np.trapezoid([0.25, 0.25, 0.5, 0.75, 1.0], dx=0.25))
    assert insertion == pytest.approx(np.trapezoid([1.0, 1.0, 0.75, 0.5, 0.25], dx=0.25))


def test_a_map_that_finds_the_object_beats_its_reverse():
    image = torch.zeros(3, 8, 8)
    image[:, 2:4, 4:6] = 1
    p = torch.nn.functional.adaptive_avg_pool2d(image[:1], (4, 4)).flatten().double().numpy()
    maps = {"good": p, "bad": -p}
    found = deletion_and_insertion(image, torch.zeros(3, 8, 8), maps, (4, 4), mean, 16)
    assert found["good"][0] < found["bad"][0]
    assert found["good"][1] > found["bad"][1]


def test_steps_need_not_divide_the_cells():
    image = torch.rand(3, 9, 7)
    maps = {"one": np.arange(6.0)}
    two = deletion_and_insertion(image, torch.zeros(3, 9, 7), maps, (3, 2), mean, 4)["one"]
    assert all(0 < value < 1 for value in two)


def test_many_maps_together_are_each_as_alone_and_share_what_is_the_same():
    random = np.random.default_rng(0)
    image, fill = torch.rand(3, 8, 8), torch.rand(3, 8, 8)
    maps = {name: random.random(16) for name in "abc"} | {"a again": np.zeros(16)}
    maps["a again"] = maps["a"]
    computed = []

    def counted(images):
        computed.append(len(images))
        return mean(images)

    together = deletion_and_insertion(image, fill, maps, (4, 4), counted, 4, batch_size=5)
    for name, p in maps.items():
        alone = deletion_and_insertion(image, fill, {name: p}, (4, 4), mean, 4)[name]
        assert together[name] == pytest.approx(alone)
    # Three maps differ: each with 3 cuts from both ends, and the whole image and none of it.
    assert sum(computed) <= 3 * 6 + 2
    assert max(computed) <= 5
