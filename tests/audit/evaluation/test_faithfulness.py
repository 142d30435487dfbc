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
    deletion, insertion = deletion_and_insertion(image, fill, p, (2, 2), mean, 4)
    # 1/4 of the pixels are 1 at first; hiding the first cell changes nothing, each other adds 1/4.
    assert deletion == pytest.approx(np.trapezoid([0.25, 0.25, 0.5, 0.75, 1.0], dx=0.25))
    assert insertion == pytest.approx(np.trapezoid([1.0, 1.0, 0.75, 0.5, 0.25], dx=0.25))


def test_a_map_that_finds_the_object_beats_its_reverse():
    image = torch.zeros(3, 8, 8)
    image[:, 2:4, 4:6] = 1
    p = torch.nn.functional.adaptive_avg_pool2d(image[:1], (4, 4)).flatten().double().numpy()
    args = (torch.zeros(3, 8, 8),)
    good = deletion_and_insertion(image, *args, p, (4, 4), mean, 16)
    bad = deletion_and_insertion(image, *args, -p, (4, 4), mean, 16)
    assert good[0] < bad[0]
    assert good[1] > bad[1]


def test_steps_need_not_divide_the_cells():
    image = torch.rand(3, 9, 7)
    two = deletion_and_insertion(image, torch.zeros(3, 9, 7), np.arange(6.0), (3, 2), mean, 4)
    assert all(0 < value < 1 for value in two)
