"""Class covariance of the pooled maps: principal axes, explained variance, split-half reliability.

Everything is a sum of whole numbers: products of two pooled maps are below 2**30, so float64
multiplies and adds them exactly, in whatever order the library prefers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.hashing import hash64
from pipeline.atlas.statistics.membership import Members, segments
from pipeline.atlas.statistics.pooled import POOLED_ONE
from pipeline.atlas.statistics.sums import ClassSums, Integer, Shapes

AXES = 3
"""Principal axes that are kept."""

Float = NDArray[np.float64]
_HALVES_SEED = 0x5B117
_TOGETHER = 256  # classes whose covariances are in memory at once


def shapes(cells: int) -> Shapes:
    """Return the arrays: halves of the images apart, and the products' upper triangle."""
    return {"half_count": (2,), "half": (2, cells), "outer": (cells * (cells + 1) // 2,)}


def add_pooled(total: ClassSums, members: Members, pooled: NDArray[np.uint16]) -> None:
    """Add the pooled maps (n, cells) of images; those without mass are left out."""
    images, cells, bounds = segments(members, members.ok & pooled.any(axis=1))
    total.admit(np.repeat(cells, np.diff(bounds)))
    values = pooled[images].astype(np.float64)
    first = (hash64(_HALVES_SEED, members.rows[images]) & np.uint64(1)).astype(np.float64)
    halves = np.stack([first, 1 - first])
    triangle = np.triu_indices(pooled.shape[1])
    for cell, lo, hi in zip(cells, bounds[:-1], bounds[1:], strict=True):
        own, half = values[lo:hi], halves[:, lo:hi]
        total["half_count"][cell] += half.sum(axis=1).astype(np.int64)
        total["half"][cell] += (half @ own).astype(np.int64)
        total["outer"][cell] += (own.T @ own)[triangle].astype(np.int64)


@dataclass(frozen=True)
class Axes:
    """Principal axes of the pooled accumulated maps of K classes; NaN where a class has too few.

    ``mean`` (K, cells) sums to 1; ``axes`` (K, 3, cells) are orthonormal, the sign such that the
    largest component is positive; ``variance`` (K, 3) along them; ``explained`` (K, 3) is its
    share of all variance; ``reliability`` (K,) is the correlation of the mean maps of two random
    halves of the class, each less the mean of all classes, stepped up to the whole class
    (Spearman 1910, Brown 1910).
    """

    mean: Float
    axes: Float
    variance: Float
    explained: Float
    reliability: Float


def finish_axes(total: ClassSums, parts: Integer) -> Axes:
    """Turn sums into the axes of the classes made of the cells ``parts``."""
    half, half_count = total.composed("half", parts), total.composed("half_count", parts)
    count = half_count.sum(axis=1)
    weight = np.where(count > 0, count, np.nan)[:, None] * float(POOLED_ONE)
    mean = half.sum(axis=1) / weight
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


def centred(means: Float) -> Float:
    """Return class means (K, cells) less that of all classes, each of length 1 and mean 0."""
    known = ~np.isnan(means).any(axis=1)
    apart = means - means[known].mean(axis=0) if known.any() else means.copy()
    apart -= apart.mean(axis=1, keepdims=True)
    length = np.sqrt((apart * apart).sum(axis=1, keepdims=True))
    unit: Float = apart / np.where(length > 0, length, np.nan)
    return unit


def similarity(means: Float, reliability: Float) -> Float:
    """Return how alike the mean maps of classes are, (K, K) in [-1, 1].

    The correlation of what sets the mean maps (K, cells) apart from the mean of all classes,
    divided by the geometric mean of both reliabilities: few images make means noisy, and noise
    makes any two classes look unlike (Spearman 1904). NaN where a class is not reliable at all.
    """
    unit = centred(means)
    root = np.sqrt(np.where(reliability > 0, reliability, np.nan))
    alike: Float = np.clip(unit @ unit.T / np.outer(root, root), -1, 1)
    return alike
