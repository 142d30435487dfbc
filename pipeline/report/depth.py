"""Statistics over depth: how the classes, and the run as a whole, change from layer to layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.report.curves import Chart, Series, bar_chart, depth_chart

_STATISTICS = (
    ("share", "Share of mass", "What each layer adds to the mass of an image."),
    ("entropy", "Entropy", "How evenly the accumulated flow is spread. 1 is uniform."),
    ("area90", "Area of 90 %", "Least share of cells that holds 90 % of the map."),
    ("centre", "Centre lift", "Mass in the centre against its size. 1 is uniform."),
    ("border", "Border lift", "Mass in the outer ring against its size. 1 is uniform."),
)
_CONVERGENCE = "convergence_depth"
_QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Profile:
    """Quantiles (0.1, 0.5, 0.9) of a statistic in every layer."""

    name: str
    title: str
    note: str
    classes: NDArray[np.float64]
    """(3, L, K)."""
    run: NDArray[np.float64]
    """(3, L): over all images."""


def read_profiles(atlas: Atlas, layers: int, columns: Sequence[str]) -> tuple[Profile, ...]:
    """Return the profiles of the statistics that the run's summary has."""
    profiles = []
    for name, title, note in _STATISTICS:
        names = [f"{name}_l{layer:02d}" for layer in range(layers)]
        if not set(names) <= set(columns):
            continue
        classes = [[atlas.quantile(column, q) for column in names] for q in _QUANTILES]
        run = [[_quantile(atlas, column, q) for column in names] for q in _QUANTILES]
        profiles.append(Profile(name, title, note, np.asarray(classes), np.asarray(run)))
    return tuple(profiles)


def run_charts(profiles: Sequence[Profile], atlas: Atlas, layers: int) -> tuple[Chart, ...]:
    """Chart the run: median and the range of the middle 80 % of the images."""
    charts = [
        depth_chart(
            profile.title,
            profile.note,
            Series(middle=profile.run[1], low=profile.run[0], high=profile.run[2]),
        )
        for profile in profiles
    ]
    return _present([*charts, _convergence(atlas, slice(None), layers)])


def class_charts(
    profiles: Sequence[Profile], atlas: Atlas, position: int, layers: int
) -> tuple[Chart, ...]:
    """Chart one class (its position in the atlas), with the run's median for reference."""
    charts = []
    for profile in profiles:
        low, middle, high = profile.classes[:, :, position]
        charts.append(
            depth_chart(profile.title, profile.note, Series(middle, low, high), profile.run[1])
        )
    return _present([*charts, _convergence(atlas, slice(position, position + 1), layers)])


def _present(charts: Sequence[Chart | None]) -> tuple[Chart, ...]:
    return tuple(chart for chart in charts if chart is not None)


def _convergence(atlas: Atlas, classes: slice, layers: int) -> Chart | None:
    counts = np.asarray(atlas.histogram(_CONVERGENCE))[classes].sum(axis=0)
    return bar_chart(
        "Convergence depth",
        "First layer after which the accumulated map hardly changes.",
        counts[:layers],
    )


def _quantile(atlas: Atlas, column: str, q: float) -> float:
    """Return a quantile over all images, linear within a bin of the summed histogram."""
    counts = np.asarray(atlas.histogram(column)).sum(axis=0)
    edges = np.asarray(atlas.edges(column), dtype=np.float64)
    total = counts.sum()
    if total == 0:
        return float("nan")
    reached = np.concatenate([[0], np.cumsum(counts)])
    upper = int(np.searchsorted(reached, q * total))
    upper = max(upper, 1)
    within = (q * total - reached[upper - 1]) / max(counts[upper - 1], 1)
    return float(edges[upper - 1] + within * (edges[upper] - edges[upper - 1]))
