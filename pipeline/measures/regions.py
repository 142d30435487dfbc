"""How much of a map lies at the border, in the corners and in the centre, against uniform."""

import torch
from torch import Tensor

from pipeline.measures.mass import total

REGIONS = ("border", "centre", "corner_tl", "corner_tr", "corner_bl", "corner_br")


def lifts(p: Tensor, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Return the share of p (…, h·w) in each region ÷ the region's share of the cells.

    Every value is (…), ≥ 0, and 1 for a uniform map. ``border`` is the outermost ring of cells
    (at most two cells high or wide, the grid is all border). A corner is a quarter of the side
    high and wide, ``centre`` the middle half of both sides; these two count a cell by the part of
    it that lies inside, so they mean the same on every grid. Their largest values are 16 and 4.
    """
    inside = torch.stack([_region(name, grid, p).flatten() for name in REGIONS])
    weights = inside / total(inside)[:, None] * inside.shape[-1]
    values = total(p[..., None, :] * weights)
    return dict(zip(REGIONS, values.unbind(-1), strict=True))


def _region(name: str, grid: tuple[int, int], like: Tensor) -> Tensor:
    """Return the part of every cell (h, w) that lies in a region, in [0, 1]."""
    if name == "border":
        border = torch.ones(grid, dtype=like.dtype, device=like.device)
        border[1:-1, 1:-1] = 0
        return border
    start, end, middle = (0.0, 0.25), (0.75, 1.0), (0.25, 0.75)
    rows, columns = {
        "centre": (middle, middle),
        "corner_tl": (start, start),
        "corner_tr": (start, end),
        "corner_bl": (end, start),
        "corner_br": (end, end),
    }[name]
    return _overlap(grid[0], rows, like)[:, None] * _overlap(grid[1], columns, like)


def _overlap(cells: int, interval: tuple[float, float], like: Tensor) -> Tensor:
    """Return the part of each of ``cells`` equal cells of [0, 1] inside an interval."""
    edge = torch.arange(cells + 1, dtype=like.dtype, device=like.device)
    inside = edge.clamp(interval[0] * cells, interval[1] * cells)
    return inside[1:] - inside[:-1]
