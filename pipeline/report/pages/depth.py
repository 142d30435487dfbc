"""Statistics over depth: how the classes, and the run as a whole, change from layer to layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.atlas.statistics.binning import quantile
from pipeline.measures import layer_column
from pipeline.report.charts import Chart, Series, bar_chart, depth_chart

CURVES = (
    ("share", "Share of mass", "Of the layer: what it adds to the mass of an image."),
    (
        "entropy",
        "Entropy",
        "Of the accumulated flow: how evenly it is spread. 1 is uniform.",
    ),
    ("area90", "Area of 90 %", "Of the layer alone: least share of cells that holds 90 % of it."),
    (
        "centre",
        "Centre lift",
        "Of the layer alone: mass in the centre against its size.",
    ),
    (
        "border",
        "Border lift",
        "Of the layer alone: mass in the outer ring against its size.",
    ),
)
"""Statistics that are drawn over depth: (stem of their columns, title, note)."""

_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Profile:
    """Quantiles (0.1, 0.5, 0.9) of a statistic in every layer."""

    title: str
    note: str
    classes: NDArray[np.float64]
    """(3, L, K)."""
    run: NDArray[np.float64]
    """(3, L): over all images."""
    others: NDArray[np.float64]
    """(L, K): the median over all images of the other classes."""


@dataclass(frozen=True)
class Depths:
    """Everything that a report shows over depth."""

    profiles: tuple[Profile, ...]
    shares: NDArray[np.float64]
    """Each layer's mean share of the mass by class, (K, L)."""
    convergence: NDArray[np.int64]
    """Images of each class by convergence depth, (K, L)."""


def read_depths(atlas: Atlas) -> Depths:
    """Read the statistics over depth of all classes."""
    layers = len(atlas.layers)
    shares = [atlas.column_mean(layer_column("share", layer)) for layer in range(layers)]
    return Depths(
        profiles=tuple(
            Profile(title, note, *_quantiles(atlas, stem)) for stem, title, note in CURVES
        ),
        shares=np.stack(shares, axis=1),
        convergence=atlas.histogram("convergence_depth")[:, :layers],
    )


def run_charts(depths: Depths) -> tuple[Chart, ...]:
    """Chart the run: median and the range of the middle 80 % of the images."""
    charts = [
        depth_chart(profile.title, profile.note, Series(*profile.run))
        for profile in depths.profiles
    ]
    return _present([*charts, _convergence(depths.convergence.sum(axis=0))])


def class_charts(depths: Depths, position: int) -> tuple[Chart, ...]:
    """Chart one class (its position in the atlas), with the median of all others for reference."""
    charts = [
        depth_chart(
            profile.title,
            profile.note,
            Series(*profile.classes[:, :, position]),
            reference=profile.others[:, position],
        )
        for profile in depths.profiles
    ]
    return _present([*charts, _convergence(depths.convergence[position])])


def _present(charts: Sequence[Chart | None]) -> tuple[Chart, ...]:
    return tuple(chart for chart in charts if chart is not None)


def _convergence(counts: NDArray[np.int64]) -> Chart | None:
    return bar_chart(
        "Convergence depth",
        "First layer after which the accumulated map hardly changes.",
        counts,
    )


def _quantiles(atlas: Atlas, stem: str) -> tuple[NDArray[np.float64], ...]:
    """Return a statistic's quantiles of the classes (3, L, K) and of all images (3, L).

    And the median of the other classes, (L, K).
    """
    columns = [layer_column(stem, layer) for layer in range(len(atlas.layers))]
    counts = [atlas.histogram(column) for column in columns]
    kind = atlas.columns[columns[0]]
    classes = [[quantile(count, kind, q) for count in counts] for q in _QUANTILES]
    run = [[quantile(count.sum(axis=0)[None], kind, q)[0] for count in counts] for q in _QUANTILES]
    others = [quantile(count.sum(axis=0) - count, kind, 0.5) for count in counts]
    return np.asarray(classes), np.asarray(run), np.asarray(others)
