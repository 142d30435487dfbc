"""Heads that behave alike: a hierarchy of attention heads by their statistics, cut into groups."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

Float = NDArray[np.float64]
MOST_GROUPS = 8


@dataclass(frozen=True)
class HeadGroups:
    """Groups of attention heads.

    ``group`` (L, H) is the number of each head's group, from 0, -1 where a layer has no such head;
    groups are ordered by the mean depth of their heads. ``profile`` (groups, S) is the mean of each
    statistic; ``silhouette`` in [-1, 1] how far apart the groups are (Rousseeuw 1987): 0.5 and more
    is distinct, near 0 is a continuum.
    """

    group: NDArray[np.int64]
    profile: Float
    silhouette: float


def group_heads(mean: Float, known: NDArray[np.int64]) -> HeadGroups:
    """Group heads whose statistics are alike in all classes.

    Two heads are as far apart as the root mean square, over classes and statistics that both have,
    of their differences in units of the statistic's standard deviation over all heads. The tree is
    that of Ward's linkage (Ward 1963), which does not spend its groups on single outliers, cut into
    that number of groups, from 2 to 8, whose mean silhouette is largest (the smaller of equals).
    Deterministic.

    Parameters
    ----------
    mean
        (K, L, H, S) statistics of heads by class; NaN where there is none.
    known
        (K, L, H, S) the number of images that a mean is over.
    """
    overall = overall_mean(mean, known)
    present = np.isfinite(overall).any(axis=2)
    group = np.full(present.shape, -1, np.int64)
    heads = int(present.sum())
    if heads < 3:
        group[present] = 0
        return HeadGroups(group, _profile(overall, group), 0.0)
    far = _distances(mean[:, present], overall[present])
    tree = linkage(squareform(far, checks=False), "ward")
    best, labels = -np.inf, np.zeros(heads, np.int64)
    for count in range(2, min(MOST_GROUPS, heads - 1) + 1):
        found = fcluster(tree, count, "maxclust")
        score = _silhouette(far, found)
        if score > best + 1e-12:
            best, labels = score, found
    layer, head = np.nonzero(present)
    order = sorted(
        set(labels.tolist()),
        key=lambda own: (
            layer[labels == own].mean(),
            layer[labels == own][0],
            head[labels == own][0],
        ),
    )
    group[present] = [order.index(own) for own in labels.tolist()]
    return HeadGroups(group, _profile(overall, group), float(best))


def overall_mean(mean: Float, known: NDArray[np.int64]) -> Float:
    """Return the mean (L, H, S) over all images of class means (K, L, H, S)."""
    total = np.where(known > 0, mean * known, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _distances(mean: Float, overall: Float) -> Float:
    """Return the distances (n, n) of heads (K, n, S), in standard deviations of the statistics."""
    deviation = np.nanstd(overall, axis=0) if np.isfinite(overall).any() else np.ones(1)
    deviation = np.where(deviation > 1e-6, deviation, np.inf)
    # A statistic that no head differs in, or none has, separates nothing.
    values = (mean / deviation).transpose(1, 0, 2).reshape(mean.shape[1], -1)
    has = np.isfinite(values)
    values = np.where(has, values, 0)
    both = has.astype(np.float64) @ has.T.astype(np.float64)
    square = (values**2) @ has.T.astype(np.float64)
    total = square + square.T - 2 * values @ values.T
    far = np.sqrt(np.maximum(total, 0) / np.maximum(both, 1))
    far = np.where(both > 0, far, far.max() + 1)  # heads of different kinds of queries
    np.fill_diagonal(far, 0)
    return np.asarray((far + far.T) / 2)


def _silhouette(far: Float, labels: NDArray[np.int64]) -> float:
    """Return the mean silhouette; a head alone in its group has 0."""
    names = np.unique(labels)
    if len(names) < 2:
        return -1.0
    member = (labels[:, None] == names).astype(np.float64)
    sizes = member.sum(axis=0)
    total = far @ member
    own = np.searchsorted(names, labels)
    place = np.arange(len(labels))
    inside = total[place, own] / np.maximum(sizes[own] - 1, 1)
    means = total / sizes
    means[place, own] = np.inf
    outside = means.min(axis=1)
    size = np.maximum(np.maximum(inside, outside), 1e-300)
    return float(np.where(sizes[own] > 1, (outside - inside) / size, 0).mean())


def _profile(overall: Float, group: NDArray[np.int64]) -> Float:
    """Return the mean (groups, S) of each statistic over the heads of a group that have it."""
    rows = []
    for number in range(int(group.max()) + 1):
        own = overall[group == number]
        has = np.isfinite(own)
        total = np.where(has, own, 0).sum(axis=0)
        rows.append(np.where(has.any(axis=0), total / np.maximum(has.sum(axis=0), 1), np.nan))
    return np.array(rows).reshape(-1, overall.shape[2])
