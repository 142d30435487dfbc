"""Class sums of normalised maps: mean and variance of p per layer and of the accumulated flow.

p = map / mass, in [0, 1]. p and p² enter the sums in fixed point (see :mod:`pipeline.atlas.sums`):
a mean is exact to 2**-33 and a variance to about 2**-32, each plus the float64 rounding of p.
Where a map has no mass p is undefined; the image is counted in ``zero`` and adds nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.members import Members, segments
from pipeline.atlas.pooled import pool, pooled_grid
from pipeline.atlas.sums import ONE, ClassSums, Integer, Shapes

BLOCK = 16
"""Images worked on at once: their float64 intermediates stay in the cache."""

Float = NDArray[np.float64]


def shapes(layers: int, grid: tuple[int, int]) -> Shapes:
    """Return the arrays of the map sums; ``maps`` holds p, p², accumulated p, accumulated p²."""
    return {
        "quarantined": (),
        "labelled": (),
        "correct": (),
        "zero": (2, layers),
        "maps": (4, layers, *grid),
    }


def add_maps(
    total: ClassSums, members: Members, maps: NDArray[np.generic], scale: NDArray[np.float32]
) -> NDArray[np.uint16]:
    """Add images to the sums; return their pooled maps, (n, y, x), zero where one does not count.

    Images of one cell are added together before they are added to the cell, which is far away in
    memory: so many images at once are faster.

    Parameters
    ----------
    maps : (n, L, h, w)
        As stored, one per member.
    scale : (n, L)
        ``maps * scale`` are the raw maps.
    """
    _add_counts(total, members)
    images, cells, bounds = segments(members, members.ok)
    cells = np.repeat(cells, np.diff(bounds))
    pooled = np.zeros((len(maps), *pooled_grid(maps.shape[2:])), np.uint16)
    into, zeros = total["maps"], total["zero"]
    for lo in range(0, len(images), BLOCK):
        block, own = images[lo : lo + BLOCK], cells[lo : lo + BLOCK]
        raw = maps[block].astype(np.float64)
        raw *= scale[block][:, :, None, None]
        fixed, zero = fixed_point(raw)
        pooled[block] = pool(fixed[:, 2, -1].astype(np.int64))
        first = np.flatnonzero(np.diff(own, prepend=-1))
        for start, end in zip(first, [*first[1:], len(own)], strict=True):
            into[own[start]] += fixed[start:end].sum(axis=0).astype(np.int64)
            zeros[own[start]] += zero[start:end].sum(axis=0)
    return pooled


def _add_counts(total: ClassSums, members: Members) -> None:
    cells = members.cells.T.reshape(-1)
    known = cells >= 0
    used = known & np.tile(members.ok, 2)
    correct = np.tile(members.correct, 2)
    total.admit(cells[used])
    total.present[cells[known]] = True
    for name, chosen in {
        "quarantined": known & ~used,
        "labelled": used & (correct >= 0),
        "correct": used & (correct == 1),
    }.items():
        total[name][:] += np.bincount(cells[chosen], minlength=len(total.count))


def fixed_point(raw: Float) -> tuple[Float, Integer]:
    """Return fixed-point p and p² of raw and accumulated maps, and where they are undefined.

    Whole numbers up to ``2**32``, so sums of 2**20 of them are exact. Mass is summed along
    contiguous cells, so an image gives the same bits in any batch. ``raw`` is overwritten.

    Shapes: raw (n, L, h, w) → (n, 4, L, h, w) and (n, 2, L) int64 0/1.
    """
    n, layers, *grid = raw.shape
    fixed = np.empty((n, 4, layers, raw[0, 0].size))
    zero = np.empty((n, 2, layers), np.int64)
    values = raw.reshape(n, layers, -1)
    for part in (0, 1):
        mass = values.sum(axis=2)
        zero[:, part] = mass == 0
        mass[mass == 0] = 1
        p, square = fixed[:, 2 * part], fixed[:, 2 * part + 1]
        np.multiply(values, (ONE / mass)[:, :, None], out=p)
        np.multiply(p, p, out=square)
        square *= 1 / ONE
        if not part:
            for layer in range(1, layers):
                values[:, layer] += values[:, layer - 1]
    return np.rint(fixed, out=fixed).reshape(n, 4, layers, *grid), zero


@dataclass(frozen=True)
class MapStatistics:
    """Finished map statistics of some classes; NaN where no image defines them.

    ``mean``, ``variance`` (population) of p and ``flow_mean``, ``flow_variance`` of the
    accumulated p are (K, L, h, w) float64; ``zero`` and ``flow_zero`` (K, L) count the images
    without mass in (or up to) a layer.
    """

    zero: Integer
    flow_zero: Integer
    mean: Float
    variance: Float
    flow_mean: Float
    flow_variance: Float


def finish_maps(total: ClassSums, parts: Integer) -> MapStatistics:
    """Turn sums into means and variances of the classes made of the cells ``parts``."""
    maps, zero = total.composed("maps", parts), total.composed("zero", parts)
    count = total.composed("count", parts)[:, None]
    moments = [_moments(maps, 2 * part, count - zero[:, part]) for part in (0, 1)]
    return MapStatistics(
        zero=zero[:, 0],
        flow_zero=zero[:, 1],
        mean=moments[0][0],
        variance=moments[0][1],
        flow_mean=moments[1][0],
        flow_variance=moments[1][1],
    )


def _moments(maps: Integer, first: int, n: Integer) -> tuple[Float, Float]:
    weight = np.where(n > 0, n, np.nan)[:, :, None, None] * float(ONE)
    mean = maps[:, first] / weight
    variance = maps[:, first + 1] / weight - mean * mean
    return mean, np.maximum(variance, 0, out=variance)
