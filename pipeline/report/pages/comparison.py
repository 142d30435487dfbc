"""Comparisons of the run with others, as ``flowatlas compare`` left them in its audit."""

import base64
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.audit.compare.channel_images import SHOWN as CHANNELS
from pipeline.audit.compare.channels import channels_sentence, layer_distances
from pipeline.audit.compare.comparison import COMPARE_SCHEMA, companion_path
from pipeline.audit.compare.differing_images import IMAGES_SCHEMA
from pipeline.audit.compare.settings import (
    ATLAS,
    RUN,
    comparable,
    differing,
    run_names,
    settings_sentence,
)
from pipeline.audit.text.quoting import visible
from pipeline.report.charts import Chart, Series, depth_chart
from pipeline.report.pages.depth import CURVES
from pipeline.report.pictures.image_pairs import ImagePairs, draw_image_pairs
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


CLASSES = 3
"""Classes named for a channel."""


@dataclass(frozen=True)
class ChannelImage:
    """An image that excites a channel; ``picture`` is its WebP as text (base64), None if lost."""

    row: int
    uri: str
    peak: float
    picture: str | None


@dataclass(frozen=True)
class ChannelLine:
    """A channel that differs: its row, the images that excite it here, and those in the other.

    ``classes`` are those in which its largest activations differ most, as their table has them.
    """

    row: dict[str, Any]
    images: tuple[ChannelImage, ...]
    other_images: tuple[ChannelImage, ...]
    classes: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Channels:
    """How the activations of both runs differ, by layer and in the channels that differ most.

    ``layers``: name, mean distance in standard deviations, channels beyond chance, and all.
    """

    sentence: str
    layers: tuple[tuple[str, float, int, int], ...]
    lines: tuple[ChannelLine, ...]


@dataclass(frozen=True)
class ComparisonPage:
    """What differs between this run and another, or between two of its atlases.

    ``sides`` are the names of both, this run's first. ``same_method``: their maps mean the same.
    ``paired`` are the sentences on images that both hold; ``settings`` those that differ, after
    where the runs are stored, and ``settings_sentence`` sums them up; ``differences`` the whole
    first, then the classes, the largest difference first, of ``found`` classes in all; ``charts``
    the mean of all images over depth for the same class mix, the other run dashed; ``flows`` the
    mean flows of both; ``images`` those in which they differ most.
    """

    sides: tuple[str, str]
    settings_sentence: str
    paired: tuple[str, ...]
    settings: tuple[dict[str, str], ...]
    differences: tuple[Difference, ...]
    found: int
    charts: tuple[Chart, ...]
    flows: MeanFlows | None
    images: ImagePairs | None
    same_method: bool
    channels: Channels | None = None

    @property
    def rows(self) -> frozenset[int]:
        """The shown images, as rows of this run."""
        apart = {row["row"] for row in self.images.rows} if self.images else set()
        lines = self.channels.lines if self.channels else ()
        return frozenset(apart | {image.row for line in lines for image in line.images})


def comparison_tables(run: Run) -> dict[str, pa.Table]:
    """Return the comparisons of a run, by their paths; those of an older version are left out.

    Their order is that of the pages.
    """
    tables = {path: run.table(path) for path in run.list("audit") if _FILE.fullmatch(path)}
    return {path: table for path, table in tables.items() if table.schema.equals(COMPARE_SCHEMA)}


def read_comparisons(run: Run) -> tuple[ComparisonPage, ...]:
    """Return the page of every comparison of a run, by their paths."""
    found = []
    for path, table in comparison_tables(run).items():
        settings, maps = (run.table(companion_path(path, name)) for name in ("settings", "maps"))
        images = companion_path(path, "images")
        shown = run.table(images) if run.exists(images) else IMAGES_SCHEMA.empty_table()
        page = _comparison(table, settings, maps, shown)
        found.append(replace(page, channels=_channels(run, path)))
    return tuple(found)


def _comparison(
    table: pa.Table, settings: pa.Table, maps: pa.Table, images: pa.Table
) -> ComparisonPage:
    rows = table.to_pylist()
    headlines = [row for row in rows if row["sentence"] and row["headline"]]
    places = [row for row in settings.to_pylist() if row["setting"] in (RUN, ATLAS)]
    return ComparisonPage(
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
        images=draw_image_pairs(images),
        same_method=comparable(settings),
    )


def _channels(run: Run, path: str) -> Channels | None:
    """Return how activations differ; None where the two runs do not both count them."""
    if not run.exists(companion_path(path, "channels")):
        return None
    table = run.table(companion_path(path, "channels"))
    excited = run.table(companion_path(path, "channel_images")).to_pylist()
    beside = companion_path(path, "channel_classes")  # an earlier version wrote none
    by_class = run.table(beside).to_pylist() if run.exists(beside) else []

    def of(row: dict[str, Any], *, other: bool) -> tuple[ChannelImage, ...]:
        place = (row["layer"], row["channel"], other)
        return tuple(
            ChannelImage(item["row"], item["uri"], item["peak"], _text(item.get("picture")))
            for item in excited
            if (item["layer"], item["channel"], item["other"]) == place
        )

    def classes(row: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        place = (row["layer"], row["channel"])
        own = [item for item in by_class if (item["layer"], item["channel"]) == place]
        return tuple(own[:CLASSES])

    return Channels(
        sentence=channels_sentence(table),
        layers=tuple(layer_distances(table)),
        lines=tuple(
            ChannelLine(row, of(row, other=False), of(row, other=True), classes(row))
            for row in table.slice(0, CHANNELS).to_pylist()
        ),
    )


def _text(picture: bytes | None) -> str | None:
    return None if picture is None else base64.b64encode(picture).decode()


def _is_set(row: dict[str, str]) -> bool:
    return bool(row["value"] or row["other"])


def _difference(row: dict[str, Any]) -> Difference:
    supporting = tuple(row["supporting"].split(", ")) if row["supporting"] else ()
    return Difference(row, supporting[:SUPPORTING], len(supporting))


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
