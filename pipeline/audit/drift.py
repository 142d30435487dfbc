"""Drift: how far apart two distributions are, from their histograms alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstwobign

Float = NDArray[np.float64]
Counts = NDArray[np.int64]

_GROUPS = 10
_ONE_IMAGE = 0.5


@dataclass(frozen=True)
class Drift:
    """Distances between the histograms (K, bins) of K classes, (K,) each; NaN without images.

    ``ks``: largest gap between the distribution functions, [0, 1] (Kolmogorov–Smirnov). ``w1``:
    area between them (Wasserstein-1), in units of the column; in octaves or decades where its bins
    are logarithmic. ``psi``: population stability index over tenths of the first distribution
    (below 0.1 nothing, above 0.25 a shift). ``p`` of the KS distance, on the safe side because
    values within a bin count as equal.
    """

    ks: Float
    w1: Float
    psi: Float
    p: Float


def drift(one: Counts, other: Counts, edges: Float) -> Drift:
    """Return the distances between two histograms of the same bins, (K, bins) each.

    ``edges`` (bins + 1,) are on the scale that ``w1`` is to be measured on.
    """
    n, m = one.sum(1), other.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.abs(np.cumsum(one / n[:, None], 1) - np.cumsum(other / m[:, None], 1))
        ks = gap.max(1)
        w1 = (gap * np.diff(edges)).sum(1)
        p = np.asarray(kstwobign.sf(ks * np.sqrt(n * m / (n + m))))
    psi = np.array(
        [_psi(a, b) if a.any() and b.any() else np.nan for a, b in zip(one, other, strict=True)]
    )
    undefined = (n == 0) | (m == 0)
    for values in (ks, w1, p):
        values[undefined] = np.nan
    return Drift(ks, w1, psi, p)


def _psi(one: Counts, other: Counts) -> float:
    """Return the index over at most ten groups of bins, as full as the first histogram lets them.

    Half an image is added to every group, so that an empty one weighs no more than it is sure.
    """
    below = np.cumsum(one) / one.sum()
    group = np.minimum((np.concatenate([[0], below[:-1]]) * _GROUPS).astype(int), _GROUPS - 1)
    group = np.unique(group, return_inverse=True)[1]
    shares = []
    for counts in (one, other):
        held = np.bincount(group, weights=counts) + _ONE_IMAGE
        shares.append(held / held.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
