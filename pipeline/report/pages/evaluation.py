"""An evaluation of the run's maps beside others, as ``flowatlas evaluate`` left it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.audit.evaluation.images import IMAGES, IMAGES_SCHEMA
from pipeline.audit.evaluation.maps import BASELINES, OWN
from pipeline.audit.evaluation.metrics import CORRELATION, GAIN, MAX_BOX, METRICS, MODEL, PXAP
from pipeline.audit.evaluation.sample_scores import ALONE
from pipeline.audit.evaluation.scores import EVALUATION_SCHEMA
from pipeline.audit.evaluation.tables import Column, Scores, columns, maps_in_order, overall
from pipeline.audit.findings_table import EVALUATION
from pipeline.audit.text.numbers import figure, percent
from pipeline.nouns import counted
from pipeline.report.charts import Chart, Series, depth_chart
from pipeline.report.pictures.method_maps import MethodMaps, draw_method_maps
from pipeline.store import Run

CLASSES = 200
"""Classes in the table of a page, those whose maps agree least with occlusion first."""

GROUPS = (
    (
        "What hiding shows",
        "Hiding patches one by one is the causal reference; deletion and insertion hide and show "
        "the highest patches first. A conclusion that depends on what hidden patches show is none.",
        (CORRELATION, GAIN, "deletion", "insertion"),
    ),
    (
        "Which of two images",
        "Two images of different classes side by side, of which each half is used for its own "
        "class. A map that does not depend on the class has exactly half on each.",
        ("pair_share", "pair_win"),
    ),
    (
        "What was learnt",
        "The same method on the model with shuffled weights: a map that stays alike is of the "
        "image, not of the model.",
        ("randomised",),
    ),
    (
        "Where the objects are",
        "Boxes show where the object is, not what the model uses. What is good is what exceeds the "
        "uniform map (the boxes' area) and the centre.",
        ("pointing", "energy", "lift", "rank_accuracy", "auc", PXAP, MAX_BOX),
    ),
)
"""Title, note and metrics of every table."""


@dataclass(frozen=True)
class ScoreTable:
    """Metrics that belong together; ``rows`` are a map's name, whether it is a baseline, scores."""

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, bool, tuple[Mapping[str, Any] | None, ...]], ...]


@dataclass(frozen=True)
class ClassScores:
    """Agreement with occlusion of a class's images: the run's maps, and the best of the others."""

    label: int
    images: int
    own: Mapping[str, Any]
    best: Mapping[str, Any] | None


@dataclass(frozen=True)
class EvaluationPage:
    """Scores of all maps, of classes and of layers, and the images on which methods disagree."""

    sentences: tuple[str, ...]
    tables: tuple[ScoreTable, ...]
    classes: tuple[ClassScores, ...]
    classes_in_all: int
    charts: tuple[Chart, ...]
    maps: MethodMaps | None

    @property
    def rows(self) -> frozenset[int]:
        """The shown images, as rows of the run."""
        return frozenset(self.maps.rows) if self.maps else frozenset()


def read_evaluation(run: Run) -> EvaluationPage | None:
    """Return the page of a run's evaluation; None without one of this version."""
    if not run.exists(EVALUATION):
        return None
    table = run.table(EVALUATION)
    if not table.schema.equals(EVALUATION_SCHEMA):
        return None
    rows, scores = table.to_pylist(), overall(table)
    classes = _classes(rows)
    shown = run.table(IMAGES) if run.exists(IMAGES) else IMAGES_SCHEMA.empty_table()
    return EvaluationPage(
        sentences=tuple(_sentences(rows, scores, run.config.flow.method)),
        tables=_tables(scores),
        classes=classes[:CLASSES],
        classes_in_all=len(classes),
        charts=_charts(rows, len(run.spec.layers)),
        maps=draw_method_maps(shown, run.spec.grid),
    )


def _tables(scores: Scores) -> tuple[ScoreTable, ...]:
    shown, names = columns(scores), maps_in_order(scores)
    found = []
    for title, note, metrics in GROUPS:
        own = tuple(column for column in shown if column.metric in metrics)
        rows = tuple(
            (name, name in BASELINES, cells)
            for name in names
            for cells in (tuple(scores.get((name, c.metric, c.fill)) for c in own),)
            if any(cells)
        )
        if rows:
            found.append(ScoreTable(title, note, own, rows))
    return tuple(found)


def _classes(rows: list[dict[str, Any]]) -> tuple[ClassScores, ...]:
    """Return the classes with a rank correlation, by the first fill that has one."""
    by_label: dict[int, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["label"] is not None and row["metric"] == CORRELATION and row["layer"] is None:
            by_label.setdefault(row["label"], {}).setdefault(row["map"], row)
    found = [
        ClassScores(label, scores[OWN]["images"], scores[OWN], _best(scores))
        for label, scores in by_label.items()
        if OWN in scores
    ]
    return tuple(sorted(found, key=lambda one: (one.own["mean"], one.label)))


def _best(scores: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Return the highest score of a map that is neither the run's own, a baseline nor occlusion."""
    others = [row for name, row in sorted(scores.items()) if _is_method(name)]
    return max(others, key=lambda row: row["mean"], default=None)


def _is_method(name: str) -> bool:
    return name not in (OWN, *BASELINES) and not name.startswith("occlusion")


def _sentences(rows: list[dict[str, Any]], scores: Scores, method: str) -> list[str]:
    """Return what the scores say in short."""
    found = []
    for metric, what in (
        (CORRELATION, "agrees most with what hiding patches does"),
        ("pair_share", "has the largest share on the explained one of two images"),
        ("lift", "is most inside the boxes for their area"),
    ):
        known = [row for (_, own, _), row in scores.items() if own == metric]
        methods = [row for row in known if row["map"] == OWN or _is_method(row["map"])]
        if methods:
            best = max(methods, key=lambda row: (row["mean"], row["map"]))
            fill = f" (hidden patches: {best['fill']})" if best["fill"] else ""
            named = f"The run's own map ({method})" if best["map"] == OWN else best["map"]
            sentence = f"{named} {what}: {_shown(best)}{fill}"
            own = [row for row in methods if row["map"] == OWN and row["fill"] == best["fill"]]
            if own and best["map"] != OWN:
                sentence += f"; the run's own ({method}) {_shown(own[0])}"
            found.append(f"{sentence}.")
    for row in rows:
        if row["map"] == MODEL and row["label"] is None:
            found.append(
                f"{percent(row['mean'])} of {counted(row['images'], 'joined pair')} of images "
                "count: each half is "
                "used for its own class."
            )
    return found


def _shown(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return figure(row["mean"])
    return f"{figure(row['mean'])} ({figure(row['low'])} to {figure(row['high'])})"


def _charts(rows: list[dict[str, Any]], layers: int) -> tuple[Chart, ...]:
    """Return how early the flow finds the object; dashed, each layer alone."""
    found = []
    for metric in (CORRELATION, "lift", "auc", "pointing"):
        curves = {name: _curve(rows, name, metric, layers) for name in (OWN, ALONE)}
        own = curves[OWN]
        series = Series(low=own[1], middle=own[0], high=own[2])
        note = "up to each layer; dashed, each layer alone"
        chart = depth_chart(METRICS[metric].heading, note, series, curves[ALONE][0])
        if chart is not None:
            found.append(chart)
    return tuple(found)


def _curve(
    rows: list[dict[str, Any]], name: str, metric: str, layers: int
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
    """Return mean, low and high of a map at every layer, by the first fill that it has."""
    values = np.full((3, layers), np.nan)
    for row in rows:
        fits = (row["map"], row["metric"], row["label"]) == (name, metric, None)
        if fits and row["layer"] is not None and np.isnan(values[0, row["layer"]]):
            bounds = (row["mean"], row["low"], row["high"])
            values[:, row["layer"]] = [row["mean"] if v is None else v for v in bounds]
    return values[0], values[1], values[2]
