"""Scores of maps: the mean over images with its interval, for all images and for each class."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import t

from pipeline.audit.stats.intervals import Rate
from pipeline.audit.text.numbers import figure

EVALUATION_SCHEMA = pa.schema(
    [
        pa.field("map", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("label", pa.int32()),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("mean", pa.float64(), nullable=False),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
    ]
)
"""``label`` is null for all images together; ``low`` and ``high`` are a 95 % interval of the mean,
null of a single image."""

METRICS = {
    "rank_correlation": "rank correlation with occlusion",
    "deletion": "deletion (low is good)",
    "insertion": "insertion (high is good)",
    "pointing": "pointing game",
    "lift": "energy in boxes ÷ area",
    "rank_accuracy": "relevance rank accuracy",
    "auc": "AUC of cells in boxes",
}
"""Metric → heading, in the order of the table."""

_PER_CLASS = "rank_correlation"
_LEVEL = 0.975

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """The mean of a metric over ``images``; the fields are those of :data:`EVALUATION_SCHEMA`."""

    map: str
    metric: str
    label: int | None
    images: int
    mean: float
    low: float | None
    high: float | None

    def row(self) -> dict[str, Any]:
        """Return a row of the table."""
        return asdict(self)


def scores(name: str, values: Mapping[str, Float], labels: NDArray[np.int64]) -> list[Score]:
    """Return the scores of one map: ``values`` are metric → (n,), NaN where undefined.

    Of the rank correlation there is one for every class with two images, too.
    """
    found = [_score(name, metric, None, own) for metric, own in values.items()]
    for label in np.unique(labels[labels >= 0]).tolist():
        own = values.get(_PER_CLASS, np.empty(0))
        if len(own) and np.isfinite(own[labels == label]).sum() > 1:
            found.append(_score(name, _PER_CLASS, label, own[labels == label]))
    return [score for score in found if score is not None]


def _score(name: str, metric: str, label: int | None, values: Float) -> Score | None:
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    mean = float(values.mean())
    low, high = interval(values)
    return Score(name, metric, label, len(values), mean, low, high)


def interval(values: Float) -> tuple[float, float] | tuple[None, None]:
    """Return a 95 % interval of the mean of n values: Wilson's of 0 and 1, else Student's.

    None and None of a single value that is not 0 or 1.
    """
    if np.isin(values, (0.0, 1.0)).all():
        return Rate(int(values.sum()), len(values)).interval
    if len(values) < 2:
        return None, None
    half = float(t.ppf(_LEVEL, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    return mean - half, mean + half


def as_markdown(table: pa.Table) -> str:
    """Return a table with a row for every map: occlusion, then the closest to it."""
    rows = [row for row in table.to_pylist() if row["label"] is None]
    metrics = [metric for metric in METRICS if any(row["metric"] == metric for row in rows)]
    found = {(row["map"], row["metric"]): row for row in rows}
    names = sorted({row["map"] for row in rows}, key=lambda name: _order(name, found))
    lines = [
        "| map | " + " | ".join(METRICS[metric] for metric in metrics) + " |",
        "| --- |" + " --- |" * len(metrics),
    ]
    for name in names:
        cells = [_cell(found.get((name, metric))) for metric in metrics]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _order(name: str, found: Mapping[tuple[str, str], Mapping[str, Any]]) -> tuple[float, str]:
    score = found.get((name, _PER_CLASS))
    return (-2.0 if score is None else -score["mean"], name)


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "–"
    shown = figure(score["mean"])
    if score["low"] is None:
        return shown
    return f"{shown} ({figure(score['low'])} to {figure(score['high'])})"


def as_text(table: pa.Table) -> str:
    """Return the same table in columns of equal width."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in as_markdown(table).splitlines()
    ]
    del lines[1]
    return "\n".join(_line(line, _widths(lines)) for line in lines)


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip()
