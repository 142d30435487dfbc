"""Maps of different sizes onto one grid, without gaining or losing mass."""

import math

import torch
from torch import Tensor

PIXELS = 16
"""Side of a cell of the default grid in pixels of the model's input."""


def default_grid(height: int, width: int) -> tuple[int, int]:
    """Return the grid for layers that differ in size: one cell for every 16 × 16 pixels."""
    return math.ceil(height / PIXELS), math.ceil(width / PIXELS)


def resample(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return maps (…, h, w) on another grid (…, H, W) with the same mass (sum) each.

    Every cell is spread evenly over its area of the image and collected by the cells of the new
    grid that it overlaps, so non-negative maps stay so and uniform maps stay uniform. The result
    has the type of ``maps``, under autocast too.
    """
    rows = _overlap(maps.shape[-2], grid[0], maps)
    columns = _overlap(maps.shape[-1], grid[1], maps)
    with torch.autocast(maps.device.type, enabled=False):
        return rows @ maps @ columns.T


def _overlap(cells: int, wanted: int, like: Tensor) -> Tensor:
    """Return which part of each of ``cells`` lies in each of ``wanted`` equal cells."""
    old = torch.arange(cells + 1, dtype=torch.float64) / cells
    new = torch.arange(wanted + 1, dtype=torch.float64) / wanted
    high = torch.minimum(old[1:], new[1:, None])
    low = torch.maximum(old[:-1], new[:-1, None])
    return ((high - low).clamp(min=0) * cells).to(like)
