"""Deletion and insertion (Petsiuk et al., "RISE", 2018, section 3.2), cell by cell."""

from collections.abc import Callable, Mapping

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
    maps: Mapping[str, Float],
    grid: tuple[int, int],
    probability: Probability,
    steps: int,
    batch_size: int = 64,
) -> dict[str, tuple[float, float]]:
    """Return the mean probability while the highest cells are hidden first, and while shown first.

    A faithful map has a low deletion and a high insertion score. Both are the area under the curve
    over the share of cells, by the trapezoidal rule, in [0, 1]. Images that several maps need are
    computed once: all cells and none are those of every map.

    Parameters
    ----------
    image, fill
        (3, H, W) normalised, and what hidden cells show.
    maps
        (cells,) each, by name; of equal cells the first in row order comes first.
    grid
        Their rows and columns.
    probability
        Of the explained class.
    steps
        How many times cells are hidden, ≥ 1; equal numbers of cells as nearly as possible.
    batch_size
        Changed images that are computed at once.
    """
    cells = grid[0] * grid[1]
    cuts = [round(step * cells / steps) for step in range(steps + 1)]
    wanted: dict[bytes, NDArray[np.bool_]] = {}
    curves: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for name, p in maps.items():
        order = np.argsort(-p, kind="stable")
        shown = np.zeros((len(cuts), cells), bool)
        for place, cut in enumerate(cuts):
            shown[place, order[:cut]] = True
        curves[name] = [], []
        for curve, masks in zip(curves[name], (~shown, shown), strict=True):
            for mask in masks:
                curve.append(mask.tobytes())
                wanted.setdefault(curve[-1], mask)
    found = _probabilities(image, fill, wanted, grid, probability, batch_size)
    return {
        name: (_area([found[mask] for mask in down], cuts), _area([found[m] for m in up], cuts))
        for name, (down, up) in curves.items()
    }


def _probabilities(
    image: Tensor,
    fill: Tensor,
    masks: Mapping[bytes, NDArray[np.bool_]],
    grid: tuple[int, int],
    probability: Probability,
    batch_size: int,
) -> dict[bytes, float]:
    """Return the probability for the image with the cells of each mask alone."""
    names, found = list(masks), []
    for lo in range(0, len(names), batch_size):
        images = [
            hidden(image, fill, np.flatnonzero(~masks[name]), grid)
            for name in names[lo : lo + batch_size]
        ]
        found += probability(torch.stack(images)).double().cpu().tolist()
    return dict(zip(names, found, strict=True))


def hidden(image: Tensor, fill: Tensor, cells: NDArray[np.int64], grid: tuple[int, int]) -> Tensor:
    """Return an image (3, H, W) with some of its cells replaced by those of another."""
    rows, columns = blocks(grid[0], image.shape[1]), blocks(grid[1], image.shape[2])
    mixed = image.clone()
    for cell in cells.tolist():
        place = (slice(None), rows[cell // grid[1]], columns[cell % grid[1]])
        mixed[place] = fill[place]
    return mixed


def _area(values: list[float], cuts: list[int]) -> float:
    return float(np.trapezoid(np.array(values), np.array(cuts) / cuts[-1]))
