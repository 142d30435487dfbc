"""Comparisons of the run with others, as ``flowatlas compare`` left them in its audit."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.audit.compare.comparison import COMPARE_SCHEMA, companion_path
from pipeline.audit.compare.settings import (
    ATLAS,
    RUN,
    differing,
    run_names,
    settings_sentence,
)
from pipeline.audit.text.quoting import visible
from pipeline.report.charts import Chart, Series, depth_chart
from pipeline.report.pages.depth import CURVES
from pipeline.report.pictures.mean_flows import MeanFlows, draw_mean_flows
from pipeline.store import Run

_FILE = re.compile(r"audit/compare-[^/]+\.parquet")
_LAYER = re.compile(r"(?P<stem>.+)_l(?P<layer>\d\d+)")
SHOWN = 200
"""Lines in the table of a page, at most one for each class."""
SUPPORTING = 6
"""Supporting statistics named in a line."""


@dataclass(frozen=True)
class Difference:
    """How a class, or the whole, differs: the headline's row, and other statistics that differ.

    ``supporting`` are the first few other statistics, of ``supported`` in all.
    """

    row: dict[str, Any]
    supporting: tuple[str, ...]
    supported: int


@dataclass(frozen=True)
class ComparisonPage:
    """What differs between this run and another, or between two of its atlases.

    ``name`` is the other's in the list of comparisons, ``sides`` are the names of both.
    ``paired`` are the sentences on images that both hold; ``settings`` those that differ, after
    where the runs are stored, and ``settings_sentence`` sums them up; ``differences`` the whole
    first, then the classes, the largest difference first, of ``found`` classes in all; ``charts``
    the mean of all images over depth for the same class mix, the other run dashed; ``flows`` the
    mean flows of both.
    """

    name: str
    sides: tuple[str, str]
    settings_sentence: str
    paired: tuple[str, ...]
    settings: tuple[dict[str, str], ...]
    differences: tuple[Difference, ...]
    found: int
    charts: tuple[Chart, ...]
    flows: MeanFlows | None


def read_comparisons(run: Run) -> tuple[ComparisonPage, ...]:
    """Return the comparisons of a run, by their paths; those of an older version are left out."""
    found = []
    for path in run.list("audit"):
        if _FILE.fullmatch(path) and (table := run.table(path)).schema.equals(COMPARE_SCHEMA):
            settings, maps = (
                run.table(companion_path(path, name)) for name in ("settings", "maps")
            )
            found.append(_comparison(table, settings, maps))
    return tuple(found)


def _comparison(table: pa.Table, settings: pa.Table, maps: pa.Table) -> ComparisonPage:
    rows = table.to_pylist()
    headlines = [row for row in rows if row["sentence"] and row["headline"]]
    places = [row for row in settings.to_pylist() if row["setting"] in (RUN, ATLAS)]
    return ComparisonPage(
        name=_name({row["setting"]: row for row in places}),
        sides=run_names(settings),
        settings_sentence=settings_sentence(settings),
        paired=tuple(
            row["sentence"] for row in rows if row["kind"] == "paired" and row["sentence"]
        ),
        settings=tuple(row for row in (*places, *differing(settings)) if _is_set(row)),
        differences=tuple(_difference(row) for row in headlines[:SHOWN]),
        found=sum(row["class"] is not None for row in headlines),
        charts=_charts(rows, run_names(settings)[1]),
        flows=draw_mean_flows(maps),
    )


def _is_set(row: dict[str, str]) -> bool:
    return bool(row["value"] or row["other"])


def _difference(row: dict[str, Any]) -> Difference:
    supporting = tuple(row["supporting"].split(", ")) if row["supporting"] else ()
    return Difference(row, supporting[:SUPPORTING], len(supporting))


def _name(places: dict[str, dict[str, str]]) -> str:
    """Name the other run by its folder, and its atlas; one of the same run by the atlas alone."""
    where, atlas = places[RUN], places[ATLAS]
    folder = PurePosixPath(where["other"].rstrip("/")).name
    if not _is_set(atlas):
        return folder
    ours, theirs = (atlas[key] or "all" for key in ("value", "other"))
    same = where["value"].rstrip("/") == where["other"].rstrip("/")
    return f"atlas {theirs}{'' if same else f' of {folder}'} (here: atlas {ours})"


def _charts(rows: list[dict[str, Any]], other: str) -> tuple[Chart, ...]:
    """Chart what all images have on average, layer by layer, in both runs."""
    means: dict[str, dict[int, tuple[float, float]]] = {}
    for row in rows:
        match = _LAYER.fullmatch(row["statistic"])
        if row["kind"] == "drift" and row["class"] is None and match:
            layers = means.setdefault(match["stem"], {})
            layers[int(match["layer"])] = (_number(row["value"]), _number(row["control"]))
    charts = []
    for stem, title, _ in CURVES:
        if stem in means:
            both = np.full((2, max(means[stem]) + 1), np.nan)
            for layer, values in means[stem].items():
                both[:, layer] = values
            note = f"Mean of all images, for the same class mix; {visible(other)} is dashed."
            series = Series(both[0], both[0], both[0])
            charts.append(depth_chart(title, note, series, reference=both[1]))
    return tuple(chart for chart in charts if chart is not None)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
