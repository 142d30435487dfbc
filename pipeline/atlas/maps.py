"""Class sums of normalised maps: mean and variance of p per layer and of the accumulated flow.

p = map / mass, in [0, 1]. p and p² enter the sums in fixed point (see :mod:`pipeline.atlas.sums`):
a mean is exact to 2**-33 and a variance to about 2**-32, each plus the float64 rounding of p.
Where a map has no mass p is undefined; the image is counted in ``zero`` and adds nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.members import Members
from pipeline.atlas.sums import ONE, ClassSums, Shapes

BLOCK = 8
"""Images worked on at once: their float64 intermediates stay in the cache."""

Float = NDArray[np.float64]
_ROOT = float(1 << 16)


def shapes(layers: int, grid: tuple[int, int]) -> Shapes:
    """Return the arrays of the map sums; ``maps`` holds p, p², accumulated p, accumulated p²."""
    return {
        "quarantined": (),
        "labelled": (),
        "correct": (),
        "zero": (2, layers),
        "maps": (4, layers, *grid),
    }


def add_maps(sums: Mapping[str, ClassSums], members: Members, maps: NDArray[np.float32]) -> None:
    """Add a unit to the sums of every table.

    Parameters
    ----------
    maps : (n, L, h, w) float32, raw, one per member
    """
    for table, total in sums.items():
        _add_counts(total, members, members.classes[table])
    for lo in range(0, len(maps), BLOCK):
        fixed, zero = fixed_point(maps[lo : lo + BLOCK])
        ok = members.ok[lo : lo + BLOCK]
        for table, total in sums.items():
            into, zeros = total["maps"], total["zero"]
            for i, group in enumerate(members.classes[table][lo : lo + BLOCK]):
                if ok[i] and group >= 0:
                    into[group] += fixed[i]
                    zeros[group] += zero[i]


def _add_counts(total: ClassSums, members: Members, groups: NDArray[np.int64]) -> None:
    known = groups >= 0
    used = known & members.ok
    total.admit(groups[used])
    total.present[groups[known]] = True
    classes = len(total.count)
    for name, chosen in {
        "quarantined": known & ~members.ok,
        "labelled": used & (members.correct >= 0),
        "correct": used & (members.correct == 1),
    }.items():
        total[name][:] += np.bincount(groups[chosen], minlength=classes)


def fixed_point(
    maps: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return fixed-point p and p² of raw and accumulated maps, and where they are undefined.

    Shapes: maps (n, L, h, w) → (n, 4, L, h, w) int64 in ``[0, 2**32]`` and (n, 2, L) int64 0/1.
    """
    n, layers, *grid = maps.shape
    raw = maps.reshape(n, layers, -1).astype(np.float64)
    fixed = np.empty((n, 4, *raw.shape[1:]), np.int64)
    zero = np.empty((n, 2, layers), np.int64)
    for part, values in enumerate((raw, np.cumsum(raw, axis=1))):
        zero[:, part] = normalise(values)
        values *= _ROOT
        square = values * values
        values *= _ROOT
        fixed[:, 2 * part] = np.rint(values, out=values)
        fixed[:, 2 * part + 1] = np.rint(square, out=square)
    return fixed.reshape(n, 4, layers, *grid), zero


def normalise(values: Float) -> NDArray[np.bool_]:
    """Divide maps (n, L, cells) by their mass in place; return (n, L), true where there is none.

    The sum runs along contiguous cells, so an image gives the same bits in any batch.
    """
    mass = values.sum(axis=2)
    zero: NDArray[np.bool_] = mass == 0
    mass[zero] = 1
    values /= mass[:, :, None]
    return zero


@dataclass(frozen=True)
class MapStatistics:
    """Finished map statistics of one table, K classes; NaN where no image defines them.

    ``mean``, ``variance`` (population) of p and ``flow_mean``, ``flow_variance`` of the
    accumulated p are (K, L, h, w) float64; ``zero`` and ``flow_zero`` (K, L) count the images
    without mass in (or up to) a layer; the rest is (K,) int64.
    """

    count: NDArray[np.int64]
    quarantined: NDArray[np.int64]
    labelled: NDArray[np.int64]
    correct: NDArray[np.int64]
    zero: NDArray[np.int64]
    flow_zero: NDArray[np.int64]
    mean: Float
    variance: Float
    flow_mean: Float
    flow_variance: Float


def finish_maps(total: ClassSums) -> MapStatistics:
    """Turn sums into means and variances."""
    moments = [
        _moments(total["maps"], 2 * part, total.count[:, None] - total["zero"][:, part])
        for part in (0, 1)
    ]
    return MapStatistics(
        count=total.count,
        quarantined=total["quarantined"],
        labelled=total["labelled"],
        correct=total["correct"],
        zero=total["zero"][:, 0],
        flow_zero=total["zero"][:, 1],
        mean=moments[0][0],
        variance=moments[0][1],
        flow_mean=moments[1][0],
        flow_variance=moments[1][1],
    )


def _moments(maps: NDArray[np.int64], first: int, n: NDArray[np.int64]) -> tuple[Float, Float]:
    weight = np.where(n > 0, n, np.nan)[:, :, None, None] * float(ONE)
    mean = maps[:, first] / weight
    variance = maps[:, first + 1] / weight - mean * mean
    return mean, np.maximum(variance, 0, out=variance)
