"""How much of a map lies inside the objects' boxes."""

import torch
from torch import Tensor

from pipeline.measures.mass import total

TOLERANCE = 15 / 224
"""Slack of the pointing game: 15 pixels of a 224-pixel input (Zhang et al. 2018, section 4.1)."""

_STEPS = 2.0**24


def valid(boxes: Tensor) -> Tensor:
    """Return which boxes (B, K, 4) can be scored, (B, K).

    A box is x0, y0, x1, y1 in fractions of the model's input. NaN rows are padding; a box
    without area inside the input cannot be scored either.
    """
    x0, y0, x1, y1 = _snapped(boxes).unbind(-1)
    return boxes.isfinite().all(-1) & (x1 > x0) & (y1 > y0)


def coverage(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the part of every cell inside the union of an image's boxes, (B, h·w) in [0, 1].

    ``boxes`` is (B, K, 4) as in :func:`valid`. Exact but for the rounding of coordinates to
    2⁻²⁴: the edges of boxes and cells cut the input into rectangles that are wholly in or out,
    and their areas are whole numbers of 2⁻⁴⁸, which float64 adds without rounding in any order.
    """
    usable = torch.where(valid(boxes)[..., None], _snapped(boxes), 0.0)
    x0, y0, x1, y1 = usable.unbind(-1)
    in_rows, row_lengths, heights = _strips(y0, y1, grid[0])
    in_columns, column_lengths, widths = _strips(x0, x1, grid[1])
    covered = (in_rows.mT @ in_columns > 0).to(torch.float64)
    area = row_lengths.mT @ covered @ column_lengths
    return (area / (heights[:, None] * widths)).flatten(1).to(boxes.dtype)


def _snapped(boxes: Tensor) -> Tensor:
    """Return boxes clipped to the input, in whole steps of 2⁻²⁴ (float64)."""
    return (boxes.to(torch.float64).clamp(0, 1) * _STEPS).round()


def _strips(lo: Tensor, hi: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cut one axis at the edges of K boxes (B, K) and of the cells into S strips.

    Returns which strips a box holds (B, K, S), the length of each strip in the cell it is in
    (B, S, cells), and the lengths of the cells (cells,), all in steps.
    """
    ticks = torch.arange(cells + 1, dtype=lo.dtype, device=lo.device)
    ticks = (ticks / cells * _STEPS).round()
    cuts = torch.cat([lo, hi, ticks.expand(lo.shape[0], -1)], 1).sort(1).values
    start, end = cuts[:, :-1], cuts[:, 1:]
    held = (lo[..., None] <= start[:, None]) & (end[:, None] <= hi[..., None])
    in_cell = (ticks[:-1] <= start[..., None]) & (end[..., None] <= ticks[1:])
    lengths = (end - start)[..., None] * in_cell
    return held.to(lo.dtype), lengths, ticks[1:] - ticks[:-1]


def energy(p: Tensor, covered: Tensor) -> Tensor:
    """Return the share of p (B, …, n) inside the boxes, Σ p · ``covered`` (B, n); in [0, 1].

    The energy-based pointing game of Wang et al. 2020 (Score-CAM, section 4.3), on the grid.
    """
    between = (1,) * (p.ndim - 2)
    return total(p * covered.reshape(covered.shape[0], *between, covered.shape[-1]))


def hit(p: Tensor, boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return whether the highest cell of p (B, h·w) points at a box (B, K, 4), bool (B,).

    It does if the centre of the cell lies in any box enlarged on every side by
    :data:`TOLERANCE`. The grid itself decides: a bilinearly enlarged map has its maximum at a
    cell centre too. Among equal cells the first in row order counts.
    """
    height, width = grid
    highest = p.argmax(-1)
    y = ((highest // width).to(boxes.dtype) + 0.5) / height
    x = ((highest % width).to(boxes.dtype) + 0.5) / width
    x0, y0, x1, y1 = boxes.unbind(-1)
    in_x = (x0 - TOLERANCE <= x[:, None]) & (x[:, None] <= x1 + TOLERANCE)
    in_y = (y0 - TOLERANCE <= y[:, None]) & (y[:, None] <= y1 + TOLERANCE)
    return (in_x & in_y & valid(boxes)).any(1)
