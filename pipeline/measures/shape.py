"""How concentrated a map is, and the place, size and elongation of what it shows."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.measures.mass import total

_FIXED_POINT = 2.0**32


def entropy(p: Tensor) -> Tensor:
    """Return Shannon's entropy −Σ p ln p of (…, n) in nats, in [0, ln n]."""
    return total(torch.special.entr(p))


def relative_entropy(p: Tensor) -> Tensor:
    """Return −Σ p ln p / ln n of (…, n): 0 for a single cell, 1 for uniform; 0 where n = 1."""
    cells = p.shape[-1]
    return entropy(p) / math.log(cells) if cells > 1 else torch.zeros_like(p[..., 0])


def gini(ascending: Tensor) -> Tensor:
    """Return Σ_k (2k − n − 1) p₍k₎ / n of p (…, n) in ascending order.

    0 for uniform, (n − 1)/n when one cell holds everything.
    """
    cells = ascending.shape[-1]
    k = torch.arange(1, cells + 1, dtype=ascending.dtype, device=ascending.device)
    return total(ascending * ((2 * k - cells - 1) / cells))


def area90(ascending: Tensor) -> Tensor:
    """Return the least fraction of cells that holds 90 % of p (…, n), given in ascending order.

    In [1/n, 1]. Counted in fixed point with 2⁻³² steps, so that running sums are exact, do not
    depend on order, and ten equal cells need nine.
    """
    steps = (ascending.flip(-1) * _FIXED_POINT).to(torch.int64).cumsum(-1)
    too_few = 10 * steps < 9 * steps[..., -1:]
    return (too_few.sum(-1) + 1).to(ascending.dtype) / ascending.shape[-1]


@dataclass(frozen=True)
class Moments:
    """Where p lies in the unit square, y down and x right; every tensor is (…).

    ``spread`` is the trace of the covariance of cell centres, in [0, ½]; ``anisotropy`` is the
    ratio of the covariance's eigenvalues, ≥ 1.
    """

    centroid_y: Tensor
    centroid_x: Tensor
    spread: Tensor
    anisotropy: Tensor


def moments(p: Tensor, grid: tuple[int, int]) -> Moments:
    """Return the first two moments of p (…, h·w) at the cell centres ((i + ½)/h, (j + ½)/w).

    For the anisotropy the mass of a cell is spread evenly over the cell, which adds 1/12h² and
    1/12w² to the variances (Sheppard). The ratio is then finite whatever the map (a single
    square cell has 1) and a uniform map has 1 on every grid. ``spread`` stays without it: a single
    cell has 0.
    """
    height, width = grid
    y, x = _centres(grid, p)
    mean_y, mean_x = total(p * y), total(p * x)
    dy, dx = y - mean_y[..., None], x - mean_x[..., None]
    var_y, var_x, cov = total(p * dy * dy), total(p * dx * dx), total(p * dy * dx)
    cell_y, cell_x = 1 / (12 * height**2), 1 / (12 * width**2)
    half_trace = (var_y + cell_y + var_x + cell_x) / 2
    half_gap = (((var_y + cell_y - var_x - cell_x) / 2) ** 2 + cov**2).sqrt()
    # The smaller eigenvalue is never below the variance inside a cell; rounding might say so.
    smaller = (half_trace - half_gap).clamp(min=min(cell_y, cell_x))
    return Moments(mean_y, mean_x, var_y + var_x, (half_trace + half_gap) / smaller)


def _centres(grid: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return y and x of every cell centre, each (h·w), in [0, 1]."""
    y, x = (
        (torch.arange(cells, dtype=like.dtype, device=like.device) + 0.5) / cells for cells in grid
    )
    return y.repeat_interleave(grid[1]), x.repeat(grid[0])
