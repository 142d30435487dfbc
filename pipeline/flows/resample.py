"""Maps of different sizes onto one grid, without gaining or losing mass."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

PIXELS = 16
"""Side of a cell of the default grid in pixels of the model's input."""


def default_grid(height: int, width: int) -> tuple[int, int]:
    """Return the grid for layers that differ in size: one cell for every 16 × 16 pixels."""
    return math.ceil(height / PIXELS), math.ceil(width / PIXELS)


def resample(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return maps (…, h, w) on another grid (…, H, W) with the same mass (sum) each.

    The mass of every cell is distributed over the cells of the new grid in proportion to their
    overlap, so non-negative maps stay non-negative and uniform maps stay uniform. The result
    has the type of ``maps``, under autocast too.
    """
    if maps.shape[-2:] == grid:
        return maps
    rows = _overlap(maps.shape[-2], grid[0], maps)
    columns = _overlap(maps.shape[-1], grid[1], maps)
    with torch.autocast(maps.device.type, enabled=False):
        return rows @ maps @ columns.T


def on_one_grid(
    native: Sequence[Tensor], size: Sequence[int], grid: tuple[int, int] | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Resample the maps (B, h_l, w_l) of L layers to one grid, by default ``default_grid``.

    Layers that share one size smaller than the image keep it, unless a grid is given.

    Parameters
    ----------
    native
        The layers' own maps.
    size
        Height and width of the images.
    grid
        Rows and columns, if given.

    Returns
    -------
    maps
        (B, L, h, w) float32.
    native
        The layers' own maps if these are others, else none.
    """
    native = [layer.float() for layer in native]
    sizes = {tuple(layer.shape[1:]) for layer in native}
    rows, columns = grid or default_grid(*size)
    if grid is None and len(sizes) == 1 and sizes != {tuple(size)}:
        rows, columns = native[0].shape[1:]
    maps = torch.stack([resample(layer, (rows, columns)) for layer in native], dim=1)
    return maps, () if sizes == {(rows, columns)} else tuple(native)


def rows_and_columns(grid: Sequence[int] | None) -> tuple[int, int] | None:
    """Return the option ``grid`` of a method as two integers, None if it was not given."""
    return None if grid is None else (int(grid[0]), int(grid[1]))


def _overlap(cells: int, wanted: int, like: Tensor) -> Tensor:
    """Return the fraction of each of ``cells`` equal cells in each of ``wanted`` equal cells."""
    old = torch.arange(cells + 1, dtype=torch.float64) / cells
    new = torch.arange(wanted + 1, dtype=torch.float64) / wanted
    high = torch.minimum(old[1:], new[1:, None])
    low = torch.maximum(old[:-1], new[:-1, None])
    return ((high - low).clamp(min=0) * cells).to(like)
