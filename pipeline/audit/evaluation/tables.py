"""An evaluation's scores as tables to read: a line for every map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.audit.evaluation.metrics import CORRELATION, METRICS, MODEL
from pipeline.audit.text.numbers import figure

Scores = Mapping[tuple[str, str, str | None], Mapping[str, Any]]
"""Rows of the table of scores, by map, metric and fill."""

_ARROWS = {"high": " ↑", "low": " ↓", "none": ""}


@dataclass(frozen=True)
class Column:
    """A metric with one fill; the heading's arrow points to what is good."""

    metric: str
    fill: str | None
    heading: str


def overall(table: pa.Table) -> Scores:
    """Return the scores of accumulated maps over all images."""
    return {
        (row["map"], row["metric"], row["fill"]): row
        for row in table.to_pylist()
        if row["label"] is None and row["layer"] is None and row["map"] != MODEL
    }


def columns(scores: Scores) -> tuple[Column, ...]:
    """Return the columns of a table of scores, in the order of the metrics."""
    pairs = {(metric, fill) for _, metric, fill in scores}
    several = len({fill for _, fill in pairs if fill}) > 1
    order = list(METRICS)
    found = []
    for metric, fill in sorted(pairs, key=lambda pair: (order.index(pair[0]), pair[1] or "")):
        named = METRICS[metric]
        hidden = f", {fill}" if fill and several else ""
        found.append(Column(metric, fill, named.heading + hidden + _ARROWS[named.better]))
    return tuple(found)


def maps_in_order(scores: Scores) -> list[str]:
    """Return the names of the maps: occlusion first, then those that agree with it most."""

    def order(name: str) -> tuple[bool, float, str]:
        agreement = [
            row["mean"]
            for (own, metric, _), row in scores.items()
            if (own, metric) == (name, CORRELATION)
        ]
        known = sum(agreement) / len(agreement) if agreement else -2.0
        return not name.startswith("occlusion"), -known, name

    return sorted({name for name, _, _ in scores}, key=order)


def cell(score: Mapping[str, Any] | None) -> str:
    """Return a score with its interval, or a dash where there is none."""
    if score is None:
        return "–"
    if score["low"] is None:
        return figure(score["mean"])
    return f"{figure(score['mean'])} ({figure(score['low'])} to {figure(score['high'])})"


def as_markdown(table: pa.Table) -> str:
    """Return a table with a row for every map and a column for every metric."""
    scores = overall(table)
    shown = columns(scores)
    lines = [
        "| map | " + " | ".join(column.heading for column in shown) + " |",
        "| --- |" + " --- |" * len(shown),
    ]
    for name in maps_in_order(scores):
        cells = [cell(scores.get((name, column.metric, column.fill))) for column in shown]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def as_text(table: pa.Table) -> str:
    """Return the same with a line for every map and metric, in columns of equal width.

    Side by side, thirteen metrics with their intervals do not fit a terminal.
    """
    scores = overall(table)
    names = maps_in_order(scores)
    blocks = []
    for column in columns(scores):
        lines = [
            (name, cell(score))
            for name in names
            if (score := scores.get((name, column.metric, column.fill)))
        ]
        blocks.append(f"{column.heading}\n{_aligned(lines)}")
    return "\n\n".join(blocks)


def _aligned(lines: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"  {name.ljust(width)}  {shown}" for name, shown in lines)
