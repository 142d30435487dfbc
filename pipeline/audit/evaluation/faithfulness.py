"""Deletion and insertion (Petsiuk et al., "RISE", 2018, section 3.2), cell by cell."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.flows.hiding import blocks

Float = NDArray[np.float64]
Probability = Callable[[Tensor], Tensor]
"""Normalised images (B, 3, H, W) → the probability (B,) of the class that is explained."""


def deletion_and_insertion(
    image: Tensor,
    fill: Tensor,
    p: Float,
    grid: tuple[int, int],
    probability: Probability,
    steps: int,
) -> tuple[float, float]:
    """Return the mean probability while the highest cells are hidden first, and while shown first.

    A faithful map has a low deletion and a high insertion score. Both are the area under the curve
    over the share of cells, by the trapezoidal rule, in [0, 1].

    Parameters
    ----------
    image, fill
        (3, H, W) normalised, and what hidden cells show.
    p
        The map, (cells,); of equal cells the first in row order comes first.
    grid
        Its rows and columns.
    probability
        Of the explained class.
    steps
        How many times cells are hidden, ≥ 1; equal numbers of cells as nearly as possible.
    """
    order = np.argsort(-p, kind="stable")
    cuts = [round(step * len(order) / steps) for step in range(steps + 1)]
    without = torch.stack([_mixed(image, fill, order[:cut], grid) for cut in cuts])
    only = torch.stack([_mixed(fill, image, order[:cut], grid) for cut in cuts])
    return _area(probability(without), cuts), _area(probability(only), cuts)


def _mixed(image: Tensor, other: Tensor, cells: NDArray[np.int64], grid: tuple[int, int]) -> Tensor:
    """Return an image with some cells of another."""
    rows, columns = blocks(grid[0], image.shape[1]), blocks(grid[1], image.shape[2])
    mixed = image.clone()
    for cell in cells.tolist():
        place = (slice(None), rows[cell // grid[1]], columns[cell % grid[1]])
        mixed[place] = other[place]
    return mixed


def _area(values: Tensor, cuts: list[int]) -> float:
    return float(np.trapezoid(values.double().cpu().numpy(), np.array(cuts) / cuts[-1]))
