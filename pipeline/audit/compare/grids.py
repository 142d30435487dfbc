"""Grids: maps on grids of different sizes, brought to one."""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def common_grid(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Return the coarser of two grids (h, w), side by side."""
    return min(one[0], other[0]), min(one[1], other[1])


def coarsen(maps: Float, grid: tuple[int, int]) -> Float:
    """Return maps (…, h, w) on a grid that is no finer, their mass kept.

    A cell that several cells of the new grid cut gives each of them the part that lies in it.
    """
    rows, columns = (_parts(*sides) for sides in zip(maps.shape[-2:], grid, strict=True))
    found: Float = rows @ maps @ columns.T
    return found


def _parts(cells: int, wanted: int) -> Float:
    """Return which part of each cell (columns) lies in which wanted cell (rows); columns sum to 1.

    Counted in parts of 1 / wanted of a cell, which are whole numbers.
    """
    fine = np.arange(cells) * wanted
    coarse = np.arange(wanted)[:, None] * cells
    overlap = np.minimum(fine + wanted, coarse + cells) - np.maximum(fine, coarse)
    return np.asarray(np.maximum(overlap, 0) / wanted)
