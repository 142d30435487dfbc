"""The second pass over all images: how far each is from its class' mean, and along its main axis.

It needs the finished means and axes, and the pooled maps alone.

The distance of an image is the total variation ½ Σ |P − μ| between its pooled accumulated map P
and the class mean μ: in [0, 1], 0 if they are equal. An image without any mass has none.
Its score is its place along the first principal axis, in standard deviations of the class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics import ranking
from pipeline.atlas.statistics.axes import Axes, Float
from pipeline.atlas.statistics.hashing import hash64
from pipeline.atlas.statistics.membership import Members, Tables, classes_in
from pipeline.atlas.statistics.pooled import POOLED_ONE, pooled_grid
from pipeline.atlas.statistics.ranking import Ranked
from pipeline.atlas.statistics.sums import ONE, WEIGHT_ONE, ClassSums, Integer, weigh
from pipeline.atlas.statistics.table import Table

SAMPLE = 256
"""Images sampled per class: those with the least hashes of their rows."""

SCORE_EDGES = np.linspace(-4, 4, 65)
"""Edges of the histogram of scores; the end bins are open outwards."""

_SAMPLE_SEED = 0x5A3B1E
_SCORE_BITS = 20
_SCORE_LIMIT = 32.0
"""Scores are clipped here: their fourth powers then leave int64 room for 2**23 images or more."""


@dataclass(frozen=True)
class Projections:
    """What the second pass finds in one table: a commutative monoid (see :meth:`merged`).

    Of images with weights, ``typical`` and ``atypical`` leave out near duplicates of earlier rows.
    """

    typical: Ranked
    atypical: Ranked
    sample: Ranked
    scores: ClassSums

    @classmethod
    def merged(cls, parts: Sequence[Self], k: int) -> Self:
        """Return what the parts found together; no part is changed."""
        return cls(
            typical=ranking.merge([part.typical for part in parts], k),
            atypical=ranking.merge([part.atypical for part in parts], k),
            sample=ranking.merge([part.sample for part in parts], SAMPLE),
            scores=ClassSums.merged([part.scores for part in parts]),
        )


def project(
    members: Members,
    pooled: NDArray[np.uint16],
    tables: Tables,
    axes: Mapping[str, Axes],
    k: int,
) -> dict[str, Projections]:
    """Place images among those of their class, in every table.

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
        some = members.take(np.flatnonzero(used & (own >= 0)))
        classes, rows = own[used & (own >= 0)], some.rows
        maps = pooled[used & (own >= 0)]
        apart = maps / float(POOLED_ONE) - axes[table].mean[classes]
        keys = np.rint(np.abs(apart).sum(axis=1) * (ONE / 2)).astype(np.int64)
        shapes = {"weight": (), "power": (4,), "histogram": (64,)}
        scores = ClassSums(len(axes[table].mean), shapes)
        _add_scores(scores, classes, apart, axes[table], some)
        shown = some.draws == rows
        near = [classes[shown], keys[shown], rows[shown]]
        far = [classes[shown], -keys[shown], rows[shown]]
        drawn = ranking.ranked(classes, _lots(some), rows, maps)
        found[table] = Projections(
            typical=ranking.merge([ranking.ranked(*near)], k),
            atypical=ranking.merge([ranking.ranked(*far)], k),
            sample=ranking.merge([drawn], SAMPLE),
            scores=scores,
        )
    return found


def _lots(members: Members) -> Integer:
    """Return the images' lots, of which the least are drawn: by weight, if images have weights.

    A random number ÷ the weight, which draws images in proportion to their weights, nearly
    (Ohlsson 1998, sequential Poisson sampling).
    """
    hashes = hash64(_SAMPLE_SEED, members.rows)
    if members.weights is None:
        return (hashes >> np.uint64(1)).astype(np.int64)
    return (hashes >> np.uint64(17)).astype(np.int64) // members.weights


def _add_scores(
    total: ClassSums, classes: Integer, apart: Float, axes: Axes, members: Members
) -> None:
    along = (apart * axes.axes[classes, 0]).sum(axis=1)
    deviation = np.sqrt(axes.variance[classes, 0])
    known = deviation > 0
    score = (along[known] / deviation[known]).clip(-_SCORE_LIMIT, _SCORE_LIMIT)
    classes, worth = classes[known], members.worth[known]
    weights = None if members.weights is None else worth
    total.admit(classes)
    np.add.at(total["weight"], classes, worth)
    powers = np.rint(score[:, None] ** np.arange(1, 5) * (1 << _SCORE_BITS))
    np.add.at(total["power"], classes, weigh(powers, weights).astype(np.int64))
    bins = np.searchsorted(SCORE_EDGES[1:-1], score, side="right")
    np.add.at(total["histogram"], (classes, bins), worth)


def bimodality(scores: ClassSums) -> Float:
    """Return Sarle's coefficient of the scores, (skewness² + 1) / kurtosis, (K,) in (0, 1].

    5/9 for a uniform and 1/3 for a normal distribution, 1 for two equal spikes; NaN where a class
    has fewer than two images or no variance.
    """
    n = scores["weight"][:, None] / WEIGHT_ONE * float(1 << _SCORE_BITS)
    n[scores.count < 2] = np.nan
    one, two, three, four = (scores["power"] / n).T
    variance = two - one * one
    variance[~(variance > 0)] = np.nan
    skew = three - 3 * one * two + 2 * one**3
    tail = four - 4 * one * three + 6 * one * one * two - 3 * one**4
    found: Float = (skew**2 / variance**3 + 1) / (tail / variance**2)
    return found


def write_projections(
    table: Table, found: Projections, grid: tuple[int, int]
) -> dict[str, NDArray[np.float64]]:
    """Write scores along the first axis and the sample; return the flat columns on the axes.

    ``grid`` (h, w) is that of the maps.
    """
    scores = found.scores["histogram"]
    whole = scores / WEIGHT_ONE if table.weighted else scores // WEIGHT_ONE
    table.write("scores", whole, ("class", "score_bin"))
    table.write("edges_scores", SCORE_EDGES, ("score_edge",))
    table.write("bimodality", bimodality(found.scores), ("class",))
    sample = found.sample
    table.write("sample_row", sample.rows, ("sample",))
    table.write("sample_class", sample.classes, ("sample",))
    pooled = sample.pooled.reshape(len(sample), *pooled_grid(grid))
    table.write("sample", pooled, ("sample", "pooled_y", "pooled_x"))
    return {
        "axis_explained": table.axes.explained[:, 0],
        "bimodality": bimodality(found.scores),
        "reliability": table.axes.reliability,
    }
