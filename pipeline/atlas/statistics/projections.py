"""The second look at all images: how far each is from its class' mean, and along its main axis.

It needs the finished means and axes, and the pooled maps alone.

The distance of an image is the total variation ½ Σ |P − μ| between its pooled accumulated map P
and the class mean μ: in [0, 1], 0 if they are equal. An image without any mass has none.
Its score is its place along the first principal axis, in standard deviations of the class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics import ranking, sums
from pipeline.atlas.statistics.covariance import Axes, Float
from pipeline.atlas.statistics.hashing import hash64
from pipeline.atlas.statistics.membership import Members, Tables, classes_in
from pipeline.atlas.statistics.pooled import POOLED_ONE
from pipeline.atlas.statistics.ranking import Ranked
from pipeline.atlas.statistics.sums import ONE, ClassSums, Integer

SAMPLE = 256
"""Images sampled per class: those with the least hashes of their rows."""

SCORE_EDGES = np.linspace(-4, 4, 65)
"""Edges of the histogram of scores; the end bins are open outwards."""

_SAMPLE_SEED = 0x5A3B1E
_SCORE_BITS = 20
_SCORE_LIMIT = 32.0
"""Scores are clipped here: their fourth powers then leave int64 room for 2**23 images or more."""


@dataclass(frozen=True)
class Looks:
    """What the second look found in one table: a commutative monoid (see :func:`merge`)."""

    typical: Ranked
    atypical: Ranked
    sample: Ranked
    scores: ClassSums


def look(
    members: Members,
    pooled: NDArray[np.uint16],
    tables: Tables,
    axes: Mapping[str, Axes],
    k: int,
) -> dict[str, Looks]:
    """Look at images in every table.

    Parameters
    ----------
    pooled : (n, cells)
    axes : table → finished axes
    k
        How many most and least typical images of each class are kept.
    """
    used = members.ok & pooled.any(axis=1)
    found = {}
    for table in tables.names:
        own = classes_in(members, tables, table)
        chosen = np.flatnonzero(used & (own >= 0))
        classes, rows, maps = own[chosen], members.rows[chosen], pooled[chosen]
        apart = maps / float(POOLED_ONE) - axes[table].mean[classes]
        keys = np.rint(np.abs(apart).sum(axis=1) * (ONE / 2)).astype(np.int64)
        scores = ClassSums(len(axes[table].mean), {"power": (4,), "histogram": (64,)})
        _add_scores(scores, classes, apart, axes[table])
        hashes = (hash64(_SAMPLE_SEED, rows) >> np.uint64(1)).astype(np.int64)
        found[table] = Looks(
            typical=ranking.merge([ranking.ranked(classes, keys, rows)], k),
            atypical=ranking.merge([ranking.ranked(classes, -keys, rows)], k),
            sample=ranking.merge([ranking.ranked(classes, hashes, rows, maps)], SAMPLE),
            scores=scores,
        )
    return found


def merge(parts: Sequence[Looks], k: int) -> Looks:
    """Return what the looks found together; no part is changed."""
    return Looks(
        typical=ranking.merge([part.typical for part in parts], k),
        atypical=ranking.merge([part.atypical for part in parts], k),
        sample=ranking.merge([part.sample for part in parts], SAMPLE),
        scores=sums.merge([part.scores for part in parts]),
    )


def _add_scores(total: ClassSums, classes: Integer, apart: Float, axes: Axes) -> None:
    along = (apart * axes.axes[classes, 0]).sum(axis=1)
    deviation = np.sqrt(axes.variance[classes, 0])
    known = deviation > 0
    score = (along[known] / deviation[known]).clip(-_SCORE_LIMIT, _SCORE_LIMIT)
    classes = classes[known]
    total.admit(classes)
    powers = np.rint(score[:, None] ** np.arange(1, 5) * (1 << _SCORE_BITS)).astype(np.int64)
    np.add.at(total["power"], classes, powers)
    bins = np.searchsorted(SCORE_EDGES[1:-1], score, side="right")
    np.add.at(total["histogram"], (classes, bins), 1)


def bimodality(scores: ClassSums) -> Float:
    """Return Sarle's coefficient of the scores, (skewness² + 1) / kurtosis, (K,) in (0, 1].

    5/9 for a uniform and 1/3 for a normal distribution, 1 for two equal spikes; NaN where a class
    has fewer than two images or no variance.
    """
    n = np.where(scores.count > 1, scores.count, np.nan)[:, None] * float(1 << _SCORE_BITS)
    one, two, three, four = (scores["power"] / n).T
    variance = two - one * one
    variance[~(variance > 0)] = np.nan
    skew = three - 3 * one * two + 2 * one**3
    tail = four - 4 * one * three + 6 * one * one * two - 3 * one**4
    found: Float = (skew**2 / variance**3 + 1) / (tail / variance**2)
    return found
