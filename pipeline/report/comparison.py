"""Comparisons of the run with others, as ``flowatlas compare`` left them in its audit."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.report.curves import Chart, Series, depth_chart
from pipeline.store import Run

_FILE = re.compile(r"audit/compare-(?P<name>.+)\.parquet")
_LAYER = re.compile(r"(?P<stem>.+)_l(?P<layer>\d\d+)")
_CURVES = (
    ("share", "Share of mass"),
    ("entropy", "Entropy"),
    ("area90", "Area of 90 %"),
    ("centre", "Centre lift"),
    ("border", "Border lift"),
)
SHOWN = 200
"""Differences in the table of a page."""


@dataclass(frozen=True)
class Comparison:
    """What differs between this run and another.

    ``paired`` are the sentences on images that both hold; ``differences`` rows of
    ``COMPARE_SCHEMA`` that have a sentence, the largest first, of ``found`` in all; ``charts``
    the mean of all images over depth, the other run dashed.
    """

    name: str
    paired: tuple[str, ...]
    differences: tuple[dict[str, Any], ...]
    found: int
    charts: tuple[Chart, ...]


def read_comparisons(run: Run) -> tuple[Comparison, ...]:
    """Return the comparisons of a run, by name."""
    found = []
    for path in run.list("audit"):
        if match := _FILE.fullmatch(path):
            found.append(_comparison(match["name"], run.table(path)))
    return tuple(found)


def _comparison(name: str, table: pa.Table) -> Comparison:
    rows = table.to_pylist()
    said = [row for row in rows if row["sentence"]]
    drifted = [row for row in said if row["kind"] == "drift"]
    return Comparison(
        name=name,
        paired=tuple(row["sentence"] for row in said if row["kind"] == "paired"),
        differences=tuple(drifted[:SHOWN]),
        found=len(drifted),
        charts=_charts(rows),
    )


def _charts(rows: list[dict[str, Any]]) -> tuple[Chart, ...]:
    """Chart what all images have on average, layer by layer, in both runs."""
    means: dict[str, dict[int, tuple[float, float]]] = {}
    for row in rows:
        match = _LAYER.fullmatch(row["statistic"])
        if row["kind"] == "drift" and row["class"] is None and match:
            layers = means.setdefault(match["stem"], {})
            layers[int(match["layer"])] = (_number(row["value"]), _number(row["control"]))
    charts = []
    for stem, title in _CURVES:
        if stem in means:
            both = np.full((2, max(means[stem]) + 1), np.nan)
            for layer, values in means[stem].items():
                both[:, layer] = values
            note = "Mean of all images; the other run is dashed."
            series = Series(both[0], both[0], both[0])
            charts.append(depth_chart(title, note, series, reference=both[1]))
    return tuple(chart for chart in charts if chart is not None)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
