"""Class covariance of the pooled maps: principal axes, explained variance, split-half reliability.

Everything is a sum of whole numbers: products of two pooled maps are below 2**30, so float64
multiplies and adds them exactly, in whatever order the library prefers.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.axes import AXES, Axes, Float, centred
from pipeline.atlas.statistics.block import FlowBlock
from pipeline.atlas.statistics.hashing import hash64
from pipeline.atlas.statistics.membership import Members, segments
from pipeline.atlas.statistics.pooled import POOLED_ONE, pooled_grid
from pipeline.atlas.statistics.statistic import Finish, Sums, no_columns
from pipeline.atlas.statistics.sums import WEIGHT_ONE, ClassSums, Integer, Shapes, weigh
from pipeline.atlas.statistics.table import Table

_HALVES_SEED = 0x5B117
_TOGETHER = 256  # classes whose covariances are in memory at once
_PRODUCTS = 1024  # images whose weighted products are in memory at once


class Covariance:
    """The statistic of the pooled maps, on a grid of at most 7 × 7."""

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = pooled_grid(grid)

    def empty(self, cells: int) -> dict[str, Sums]:
        """Return its sums over no image, by name."""
        return {"pooled": ClassSums(cells, shapes(self.grid[0] * self.grid[1]))}

    def add(self, sums: Mapping[str, Any], block: FlowBlock) -> None:
        """Add the pooled maps of images, which the maps' statistic has made."""
        add_pooled(sums["pooled"], block.members, block.pooled.reshape(len(block.pooled), -1))

    def finish(self, sums: Mapping[str, Any], parts: Integer) -> Axes:
        """Return the axes of the classes made of the cells ``parts``."""
        return finish_axes(sums["pooled"], parts)

    def write(self, sums: Mapping[str, Any], tables: Sequence[Table], threads: Executor) -> Finish:
        """Write pooled means, principal axes and reliabilities."""
        written = [threads.submit(self._write, table) for table in tables]

        def finish() -> list[dict[str, Float]]:
            for future in written:
                future.result()
            return no_columns(tables)

        return finish

    def _write(self, table: Table) -> None:
        axes, cells = table.axes, ("pooled_y", "pooled_x")
        shape = (*axes.variance.shape, *self.grid)
        table.write("pooled_mean", axes.mean.reshape(-1, *self.grid), ("class", *cells))
        principal = axes.axes.reshape(shape).astype(np.float32)
        table.write("axes", principal, ("class", "axis", *cells))
        table.write("axis_variance", axes.variance, ("class", "axis"))
        table.write("axis_explained", axes.explained, ("class", "axis"))
        table.write("reliability", axes.reliability, ("class",))


def shapes(cells: int) -> Shapes:
    """Return the arrays: halves of the images apart, and the products' upper triangle.

    The halves are sums of weights, and of weights times maps.
    """
    return {"half_count": (2,), "half": (2, cells), "outer": (cells * (cells + 1) // 2,)}


def add_pooled(total: ClassSums, members: Members, pooled: NDArray[np.uint16]) -> None:
    """Add the pooled maps (n, cells) of images; those without mass are left out."""
    images, cells, bounds = segments(members, members.ok & pooled.any(axis=1))
    total.admit(np.repeat(cells, np.diff(bounds)))
    values = pooled[images].astype(np.float64)
    first = (hash64(_HALVES_SEED, members.draws[images]) & np.uint64(1)).astype(np.float64)
    halves = np.stack([first, 1 - first]) * members.worth[images]
    triangle = np.triu_indices(pooled.shape[1])
    for cell, lo, hi in zip(cells, bounds[:-1], bounds[1:], strict=True):
        own, half = values[lo:hi], halves[:, lo:hi]
        total["half_count"][cell] += half.sum(axis=1).astype(np.int64)
        total["half"][cell] += (half @ own).astype(np.int64)
        if members.weights is None:
            total["outer"][cell] += (own.T @ own)[triangle].astype(np.int64)
            continue
        for start in range(lo, hi, _PRODUCTS):
            some = slice(start, min(start + _PRODUCTS, hi))
            products = values[some][:, triangle[0]] * values[some][:, triangle[1]]
            weighed = weigh(products, members.weights[images[some]])
            total["outer"][cell] += weighed.sum(axis=0).astype(np.int64)


def finish_axes(total: ClassSums, parts: Integer) -> Axes:
    """Turn sums into the axes of the classes made of the cells ``parts``."""
    half, half_count = total.composed("half", parts), total.composed("half_count", parts)
    count = half_count.sum(axis=1) / WEIGHT_ONE
    weight = np.where(count > 0, count, np.nan)[:, None] * float(POOLED_ONE)
    mean = half.sum(axis=1) / WEIGHT_ONE / weight
    cells = half.shape[2]
    kept = min(AXES, cells)
    axes = np.full((len(parts), kept, cells), np.nan)
    variance, explained = np.full((2, len(parts), kept), np.nan)
    upper = np.triu_indices(cells)
    known = np.flatnonzero(count > 1)
    for some in np.split(known, range(_TOGETHER, len(known), _TOGETHER)):
        covariance = np.empty((len(some), cells, cells))
        outer = total.composed("outer", parts[some]) / (weight[some] * float(POOLED_ONE))
        covariance[:, upper[0], upper[1]] = covariance[:, upper[1], upper[0]] = outer
        covariance -= mean[some, :, None] * mean[some, None, :]
        values, vectors = np.linalg.eigh(covariance)
        chosen = vectors.transpose(0, 2, 1)[:, ::-1][:, :kept]
        place = np.abs(chosen).argmax(axis=2)[..., None]
        axes[some] = chosen * np.sign(np.take_along_axis(chosen, place, axis=2))
        variance[some] = values[:, ::-1][:, :kept].clip(0)
        spread = np.trace(covariance, axis1=1, axis2=2)
        explained[some] = variance[some] / np.where(spread > 0, spread, np.nan)[:, None]
    return Axes(mean, axes, variance, explained, _reliability(half, half_count))


def _reliability(half: Integer, count: Integer) -> Float:
    weight = np.where(count > 0, count, np.nan)[:, :, None] * float(POOLED_ONE)
    means = half / weight
    one, other = (centred(means[:, k]) for k in (0, 1))
    r = (one * other).sum(axis=1)
    reliability: Float = np.where(r > 0, 2 * r / (1 + r), np.minimum(r, 0))
    return reliability
