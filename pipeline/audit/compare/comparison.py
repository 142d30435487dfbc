"""``compare``: what differs between two runs, or two atlases: splits, checkpoints, models.

Distributions are compared class by class and column by column from the histograms of the atlases,
and all classes together for the same class mix (see :mod:`pipeline.audit.compare.standardisation`);
images that both runs hold are compared one by one. Layers are matched by depth where the two models
have different numbers of them. All p-values of drifts share one Benjamini–Hochberg correction. Two
runs may hold the same images: their values are then correlated, and the tests, which assume two
independent samples, are conservative.
"""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.atlas import Atlas, choose_atlas
from pipeline.audit.compare.agreement import agreement
from pipeline.audit.compare.channel_images import exciting_images
from pipeline.audit.compare.channels import channel_differences, has_channels
from pipeline.audit.compare.differences import differences, mark_headlines
from pipeline.audit.compare.differing_images import differing_images
from pipeline.audit.compare.mean_flows import mean_flows
from pipeline.audit.compare.overlap import require_disjoint
from pipeline.audit.compare.settings import comparable, compare_settings, run_names
from pipeline.audit.compare.shared_images import pair
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.audit.text.quoting import quote
from pipeline.errors import ConfigError
from pipeline.nouns import counted
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes

COMPARE_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("class", pa.int32()),
        pa.field("class_name", pa.string()),
        pa.field("classes", pa.int32()),
        pa.field("statistic", pa.string(), nullable=False),
        pa.field("other_statistic", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("other_images", pa.int64(), nullable=False),
        pa.field("other_effective", pa.float64()),
        pa.field("value", pa.float64()),
        pa.field("control", pa.float64()),
        pa.field("at", pa.float64()),
        pa.field("below", pa.float64()),
        pa.field("other_below", pa.float64()),
        pa.field("ks", pa.float64()),
        pa.field("w1", pa.float64()),
        pa.field("psi", pa.float64()),
        pa.field("q", pa.float64()),
        pa.field("headline", pa.bool_(), nullable=False),
        pa.field("supporting", pa.string(), nullable=False),
        pa.field("sentence", pa.string()),
    ]
)
"""``kind`` is ``drift``, or ``paired`` for images that both runs hold. ``class`` null means all:
of a drift the whole, standardised to the same mix of so many ``classes``: the other's images are
weighted and worth ``other_effective``. ``value`` and ``control`` are the mean of the first and
of the other run (geometric for a mass); of paired statistics the mean over images, and its value
for two equal runs. ``below`` and ``other_below`` are the shares of images below ``at``, where
the two distributions are ``ks`` apart. Only significant and large differences have a
``sentence``; of those of a class one row is its ``headline``, and the others are named in
``supporting``."""


def compare_path(other: Run, atlas: str | None = None, other_atlas: str | None = None) -> str:
    """Return where the comparison with another run, or of two named atlases, is stored."""
    name = re.sub(r"[^\w.-]+", "-", other.uri.rstrip("/").split("://")[-1])[-80:].strip("-")
    if atlas is not None or other_atlas is not None:
        name = f"{name}-{atlas or 'all'}-with-{other_atlas or 'all'}"
    return f"audit/compare-{name}.parquet"


def companion_path(path: str, name: str) -> str:
    """Return the path of a table that belongs to a comparison, such as its ``settings``."""
    return f"{path.removesuffix('.parquet')}/{name}.parquet"


def compare(
    one: Run,
    other: Run,
    atlas: str | None = None,
    other_atlas: str | None = None,
    *,
    layers: Sequence[str] = (),
    channels: Sequence[int] = (),
) -> pa.Table:
    """Compare two aggregated runs; write ``audit/compare-<other>.parquet`` of the first.

    More tables hold the settings of both, the mean flows of the whole and of the classes that
    differ most, and both maps of the images that differ most, so that a report does not need the
    other run.

    Parameters
    ----------
    atlas, other_atlas
        Names of atlases of some images or groups, instead of the runs' own: two splits or cameras
        of one run, say. Images are then not compared one by one.
    layers, channels
        Where both runs count activations: which layers and channels to compare; all by default.

    Returns
    -------
    Table
        ``COMPARE_SCHEMA``: the headline of the whole, those of the classes, the largest difference
        first, the sentences on the same images, what supports the headlines, and the rest.

    Raises
    ------
    RunIncomplete
        A run was not aggregated.
    ConfigError
        There is no such atlas, no class and no image is in both (and activations are not counted
        in both), or two atlases of one run share images.
    """
    atlases = choose_atlas(one, atlas), choose_atlas(other, other_atlas)
    named = atlas is not None or other_atlas is not None
    settings = compare_settings(one, other, *atlases)
    sides = run_names(settings)
    same_method = comparable(settings)
    rows = differences(
        *atlases,
        same_layers=one.spec.layers == other.spec.layers,
        names=sides,
        same_method=same_method,
    )
    headlines = mark_headlines(rows)
    pairs = None if named else pair(one, other)
    if pairs is not None:
        rows += agreement(pairs, atlases[0].names, sides)
    counted_alike = not named and has_channels(one, other)
    if not rows and not counted_alike:
        raise ConfigError(
            f"nothing to compare: no image, and no class with {LEAST_IMAGES} images, is in both: "
            f"{_contents(one, atlas, atlases[0])}; {_contents(other, other_atlas, atlases[1])}"
        )
    if named and one.uri.rstrip("/") == other.uri.rstrip("/"):
        require_disjoint(one, *atlases)
    rest = [_empty() | row for row in rows if not row.get("headline")]
    rest.sort(key=_order)
    table = pa.Table.from_pylist([_empty() | row for row in headlines] + rest, COMPARE_SCHEMA)
    path = compare_path(other, atlas, other_atlas)
    one.write(companion_path(path, "settings"), parquet_bytes(settings))
    classes = [row["class"] for row in headlines if row.get("class") is not None]
    one.write(companion_path(path, "maps"), parquet_bytes(mean_flows(*atlases, classes)))
    if pairs is not None:
        images = differing_images(one, other, pairs, same_method=same_method)
        one.write(companion_path(path, "images"), parquet_bytes(images))
    if counted_alike:
        differing = channel_differences(one, other, layers, channels)
        excited, by_class = exciting_images(one, other, differing)
        one.write(companion_path(path, "channels"), parquet_bytes(differing))
        one.write(companion_path(path, "channel_images"), parquet_bytes(excited))
        one.write(companion_path(path, "channel_classes"), parquet_bytes(by_class))
    one.write(path, parquet_bytes(table))
    return table


def _order(row: dict[str, Any]) -> tuple[bool, bool, float]:
    return row["sentence"] is None, row["kind"] != "paired", -(row["psi"] or 0)


def _empty() -> dict[str, Any]:
    return dict.fromkeys(COMPARE_SCHEMA.names) | {"headline": False, "supporting": ""}


def _contents(run: Run, name: str | None, atlas: Atlas) -> str:
    """Return how many images and which classes an atlas has."""
    images, names = int(atlas.count.sum()), atlas.names
    of = f"the atlas {name} of {run.uri}" if name else run.uri
    classes = ", ".join(map(quote, names[:3])) + (", …" if len(names) > 3 else "")
    return f"{of} has {counted(images, 'image')} of {classes}"
