"""The scatter of classes: accuracy against any measure; a template draws it as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.atlas import Atlas
from pipeline.report.charts import Tick, nice_ticks
from pipeline.report.pages.classes import ClassFacts
from pipeline.report.pages.measures import meaning, whole_columns

WIDTH, HEIGHT = 720.0, 360.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 16.0, 12.0, 40.0
FIRST = ("centre_flow", "mass_flow")
"""The measure that is shown first: the first of these that there is."""
NAMED = 3
"""Classes whose names stand in the picture, besides the first with findings: those with the lowest
value up the side."""


@dataclass(frozen=True)
class Point:
    """A class: its ``x`` and ``y`` in SVG units, its value of ``up`` and of every measure."""

    fact: ClassFacts
    x: float | None
    y: float
    up: float
    values: tuple[float | None, ...]
    named: bool


@dataclass(frozen=True)
class Scatter:
    """Classes as points; ``measures`` are (column, meaning), ``chosen`` one of their places."""

    up: str
    """What is drawn up the side."""
    measures: tuple[tuple[str, str], ...]
    chosen: int
    points: tuple[Point, ...]
    across: tuple[Tick, ...]
    upwards: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def class_scatter(
    atlas: Atlas, classes: Sequence[ClassFacts], rate: str = "accuracy"
) -> Scatter | None:
    """Lay the classes out by accuracy, by mean confidence without labels; None if there are few.

    ``rate`` is what the accuracy is called: where images have several labels it is none.

    A measure is the mean over the images of the class, the geometric mean of a mass.
    """
    columns = [name for name in whole_columns(atlas.columns) if name != "confidence"]
    labelled = any(np.isfinite(fact.accuracy) for fact in classes)
    confidence = None if labelled else atlas.column_mean("confidence")
    side = {
        fact.id: fact.accuracy if confidence is None else float(confidence[fact.position])
        for fact in classes
    }
    known = [fact for fact in classes if np.isfinite(side[fact.id])]
    if len(known) < 2 or not columns:
        return None
    means = np.stack([atlas.column_mean(column) for column in columns])
    chosen = next((columns.index(name) for name in FIRST if name in columns), 0)
    shown = means[chosen, [fact.position for fact in known]]
    shown = shown[np.isfinite(shown)]
    if not len(shown):
        return None
    ticks = nice_ticks(float(shown.min()), float(shown.max()))
    named = sorted(known, key=lambda fact: (side[fact.id], fact.id))[:NAMED]
    named += [fact for fact in known if fact.findings][:NAMED]
    return Scatter(
        up=rate if labelled else "mean confidence",
        measures=tuple((column, meaning(column) or column) for column in columns),
        chosen=chosen,
        points=tuple(
            Point(
                fact=fact,
                x=_across(float(means[chosen, fact.position]), ticks),
                y=_up(side[fact.id]),
                up=side[fact.id],
                values=tuple(_rounded(float(value)) for value in means[:, fact.position]),
                named=fact in named,
            )
            for fact in known
        ),
        across=tuple(Tick(_across(tick, ticks) or LEFT, f"{tick:.3g}") for tick in ticks),
        upwards=tuple(Tick(_up(tick), f"{tick:.0%}") for tick in (0.0, 0.25, 0.5, 0.75, 1.0)),
    )


def _across(value: float, ticks: Sequence[float]) -> float | None:
    if not np.isfinite(value):
        return None
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _up(value: float) -> float:
    return round(HEIGHT - BOTTOM - value * (HEIGHT - BOTTOM - TOP), 1)


def _rounded(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
