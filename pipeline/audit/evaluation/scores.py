"""Scores: sums of an evaluation, turned into means and rates with their intervals."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import t

from pipeline.audit.evaluation.box_curves import (
    LEVELS,
    OVERLAPS,
    THRESHOLDS,
    max_box_accuracy,
    pixel_average_precision,
)
from pipeline.audit.evaluation.metrics import METRICS, PXAP
from pipeline.audit.evaluation.tally import ONE, Integer, Key, Tally
from pipeline.audit.stats.intervals import Rate

EVALUATION_SCHEMA = pa.schema(
    [
        pa.field("map", pa.string(), nullable=False),
        pa.field("layer", pa.int32()),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("fill", pa.string()),
        pa.field("label", pa.int32()),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("mean", pa.float64(), nullable=False),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
    ]
)
"""``layer`` is null for the map accumulated over all layers, ``fill`` where nothing is hidden,
``label`` for all images together; ``low`` and ``high`` are a 95 % interval of the mean, null of a
single image."""

_LEVEL = 0.975

Interval = tuple[float, float] | tuple[None, None]


@dataclass(frozen=True)
class Score:
    """The mean of a metric over ``images``; the fields are those of :data:`EVALUATION_SCHEMA`."""

    map: str
    layer: int | None
    metric: str
    fill: str | None
    label: int | None
    images: int
    mean: float
    low: float | None
    high: float | None


def scores_table(tally: Tally) -> pa.Table:
    """Return the scores of summed images, by map, layer, metric, fill and label.

    Classes of a single image are left out.
    """
    found = [_of_sums(key, values) for key, values in tally.sums.items() if key.fold < 0]
    found = [score for score in found if score.label is None or score.images > 1]
    found += _curves(tally)
    rows = [asdict(score) for score in sorted(found, key=_order)]
    return pa.Table.from_pylist(rows, schema=EVALUATION_SCHEMA)


def _order(score: Score) -> tuple[Any, ...]:
    def first(value: int | None) -> int:
        return -1 if value is None else value

    metric = list(METRICS).index(score.metric)
    return first(score.label), score.map, first(score.layer), metric, score.fill or ""


def _score(key: Key, images: int, mean: float, interval: Interval) -> Score:
    layer = None if key.layer < 0 else key.layer
    label = None if key.label < 0 else key.label
    return Score(key.map, layer, key.metric, key.fill or None, label, images, mean, *interval)


def _of_sums(key: Key, values: Integer) -> Score:
    count, total, squares = (int(value) for value in values)
    return _score(key, count, total / count / ONE, interval(count, total, squares, key.metric))


def interval(count: int, total: int, squares: int, metric: str) -> Interval:
    """Return a 95 % interval of the mean of ``count`` scores with these fixed-point sums.

    Wilson's of a rate whose scores are all 0 or 1, else Student's; None and None of a single score
    that is not 0 or 1.
    """
    if METRICS[metric].kind == "rate" and total == squares:  # x² = x for 0 and 1 alone
        return Rate(total // ONE, count).interval
    if count < 2:
        return None, None
    variance = max(0, count * squares * ONE - total * total) / (count * (count - 1) * ONE * ONE)
    half = float(t.ppf(_LEVEL, count - 1)) * sqrt(variance / count)
    mean = total / count / ONE
    return mean - half, mean + half


def _curves(tally: Tally) -> Iterator[Score]:
    """Yield the scores that are computed from the counts of all images.

    Their intervals are those of the delete-a-group jackknife: images are divided into folds by a
    hash of their rows.
    """
    folds: dict[Key, list[Integer]] = {}
    for key, values in sorted(tally.sums.items()):
        if key.fold >= 0:
            folds.setdefault(key._replace(fold=-1), []).append(values)
    for key, parts in folds.items():
        total = np.sum(parts, axis=0)
        value, images = _curve(key.metric, total), int(total[0])
        if np.isnan(value):
            continue
        without = np.array([_curve(key.metric, total - part) for part in parts])
        yield _score(key, images, value, _jackknife(value, without[np.isfinite(without)]))


def _curve(metric: str, values: Integer) -> float:
    counts = values[1:]
    if metric == PXAP:
        return pixel_average_precision(counts.reshape(2, LEVELS))
    return max_box_accuracy(counts.reshape(len(OVERLAPS), THRESHOLDS), int(values[0]))


def _jackknife(value: float, without: np.ndarray[Any, np.dtype[np.float64]]) -> Interval:
    groups = len(without)
    if groups < 2:
        return None, None
    variance = (groups - 1) / groups * ((without - without.mean()) ** 2).sum()
    half = float(t.ppf(_LEVEL, groups - 1) * np.sqrt(variance))
    return max(0.0, value - half), min(1.0, value + half)
