"""Drift: how far apart two distributions are, from their histograms alone."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstwobign

from pipeline.audit.compare.standardisation import Standardised

Float = NDArray[np.float64]
Counts = NDArray[np.int64] | NDArray[np.float64]

_GROUPS = 10
_ONE_IMAGE = 0.5
_LEAST_P = 1e-300


@dataclass(frozen=True)
class Drift:
    """Distances between the histograms (K, bins) of K classes, (K,) each; NaN without images.

    ``ks``: largest gap between the distribution functions, [0, 1] (Kolmogorov–Smirnov), which is
    at the edge number ``at``: ``below`` is the share of images below it, ``other_below`` that of
    the other. ``w1``: area between them (Wasserstein-1), in units of the column; in octaves or
    decades where its bins are logarithmic. ``shift``: the part of that area by which the other lies
    higher on the whole, [-1, 1]; 0 where only the spread differs. ``psi``: population stability
    index over tenths of the first distribution (below 0.1 nothing, above 0.25 a shift). ``p`` of
    the KS distance is conservative, because values within a bin count as equal.
    """

    ks: Float
    at: NDArray[np.int64]
    below: Float
    other_below: Float
    w1: Float
    shift: Float
    psi: Float
    p: Float


def drift(one: Counts, other: Counts, edges: Float) -> Drift:
    """Return the distances between two histograms of the same bins, (K, bins) each.

    ``edges`` (bins + 1,) are on the scale that ``w1`` is to be measured on.
    """
    n, m = one.sum(1), other.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        below, other_below = (np.cumsum(c, 1) / k[:, None] for c, k in ((one, n), (other, m)))
        gap = below - other_below
        widest = np.abs(gap[:, :-1]).argmax(1)
        rows = np.arange(len(gap))
        ks = np.abs(gap[rows, widest])
        w1 = (np.abs(gap) * np.diff(edges)).sum(1)
        shift = np.where(w1 > 0, (gap * np.diff(edges)).sum(1) / w1, 0)
        p = np.maximum(kstwobign.sf(ks * np.sqrt(n * m / (n + m))), _LEAST_P)
    psi = np.array(
        [_psi(a, b) if a.any() and b.any() else np.nan for a, b in zip(one, other, strict=True)]
    )
    undefined = (n == 0) | (m == 0)
    for values in (ks, w1, shift, p):
        values[undefined] = np.nan
    return Drift(ks, widest + 1, below[rows, widest], other_below[rows, widest], w1, shift, psi, p)


def standardised_drift(same: Standardised, edges: Float) -> Drift:
    """Return the distances between two runs for the same class mix, (1,) each.

    ``p`` is an upper bound, not an approximation. Where every class has the same distribution in
    both runs, the gap at an edge is a sum over independent images whose squared weights sum to
    1 / n + 1 / m, with the effective numbers n and m: so by Hoeffding's inequality (JASA 58, 1963,
    theorem 2) a gap of ``ks`` has at most 2 exp(-2 ks² n m / (n + m)), times the number of edges,
    for it may be at any of them.
    """
    found = drift(same.counts[None], same.other_counts[None], edges)
    size = same.effective * same.other_effective / (same.effective + same.other_effective)
    bound = 2 * (len(edges) - 2) * np.exp(-2 * found.ks**2 * size)
    return replace(found, p=np.clip(bound, _LEAST_P, 1))


def _psi(one: Counts, other: Counts) -> float:
    """Return the index over at most ten groups of bins, as full as the first histogram lets them.

    Half an image is added to every group, so that an empty one has no infinite weight.
    """
    below = np.cumsum(one) / one.sum()
    group = np.minimum((np.concatenate([[0], below[:-1]]) * _GROUPS).astype(int), _GROUPS - 1)
    group = np.unique(group, return_inverse=True)[1]
    shares = []
    for counts in (one, other):
        held = np.bincount(group, weights=counts) + _ONE_IMAGE
        shares.append(held / held.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
