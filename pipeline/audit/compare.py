"""``compare``: what differs between two runs, or two atlases: splits, checkpoints, models.

Distributions are compared class by class and column by column from the histograms of the atlases;
images that both runs hold are compared one by one. Layers are matched by depth where the two
models have different numbers of them. All p-values share one Benjamini–Hochberg correction.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.audit.agreement import agreement
from pipeline.audit.contrast import benjamini_hochberg
from pipeline.audit.drift import Drift, drift
from pipeline.audit.findings import choose_atlas
from pipeline.audit.numerals import figure, rate
from pipeline.audit.pairs import pair
from pipeline.audit.quotes import quote
from pipeline.audit.readings import LEAST_IMAGES
from pipeline.audit.shortcut import Q_LIMIT
from pipeline.errors import ConfigError
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes

LEAST_PSI = 0.25
"""Population stability index from which a difference is worth a person's time."""

LEAST_KS = 0.15

COMPARE_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("class", pa.int32()),
        pa.field("class_name", pa.string()),
        pa.field("statistic", pa.string(), nullable=False),
        pa.field("other_statistic", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("other_images", pa.int64(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("control", pa.float64()),
        pa.field("ks", pa.float64()),
        pa.field("w1", pa.float64()),
        pa.field("psi", pa.float64()),
        pa.field("q", pa.float64()),
        pa.field("sentence", pa.string()),
    ]
)
"""``kind`` is ``drift``, or ``paired`` for what is said of the same images; ``class`` null means
all. ``value`` and ``control`` are the mean of the first and of the other run (geometric for a
mass); of paired statistics the mean over images, and its value for two equal runs. Only what is
sure and large enough has a ``sentence``."""


@dataclass(frozen=True)
class _Column:
    """A column of each run that mean the same."""

    name: str
    other: str


def compare_path(other: Run, atlas: str | None = None, other_atlas: str | None = None) -> str:
    """Return where the comparison with another run, or of two named atlases, is stored."""
    name = re.sub(r"[^\w.-]+", "-", other.uri.rstrip("/").split("://")[-1])[-80:].strip("-")
    if atlas is not None or other_atlas is not None:
        name = f"{name}-{atlas or 'all'}-with-{other_atlas or 'all'}"
    return f"audit/compare-{name}.parquet"


def compare(
    one: Run, other: Run, atlas: str | None = None, other_atlas: str | None = None
) -> pa.Table:
    """Compare two aggregated runs; write ``audit/compare-<other>.parquet`` of the first.

    Parameters
    ----------
    atlas, other_atlas
        Names of atlases of some images or groups, instead of the runs' own: two splits or cameras
        of one run, say. Images are then not compared one by one.

    Returns
    -------
    Table
        ``COMPARE_SCHEMA``, what has a sentence first, the largest difference first.

    Raises
    ------
    RunIncomplete
        A run was not aggregated.
    ConfigError
        There is no such atlas, or no class and no image is in both.
    """
    atlases = choose_atlas(one, atlas), choose_atlas(other, other_atlas)
    rows = [*_drifts(*atlases, same_layers=one.spec.layers == other.spec.layers)]
    if atlas is None and other_atlas is None:
        rows += agreement(pair(one, other), atlases[0].names)
    if not rows:
        raise ConfigError(
            f"nothing to compare: no image and no class with enough images is in both; the classes "
            f"of {one.uri} are {_some(atlases[0].names)}, those of {other.uri} "
            f"{_some(atlases[1].names)}"
        )
    rows = [dict.fromkeys(COMPARE_SCHEMA.names) | row for row in rows]
    rows.sort(key=lambda row: (row["sentence"] is None, row["kind"], -(row["psi"] or 0)))
    table = pa.Table.from_pylist(rows, schema=COMPARE_SCHEMA)
    one.write(compare_path(other, atlas, other_atlas), parquet_bytes(table))
    return table


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(quote, names[:3])) + (", …" if len(names) > 3 else "")


def matched(one: Atlas, other: Atlas, same_layers: bool) -> tuple[_Column, ...]:
    """Return the columns both have, layers matched by their relative depth."""
    depth, other_depth = len(one.layers), len(other.layers)
    found = []
    for name, kind in one.columns.items():
        stem, _, layer = name.rpartition("_l")
        partner = name
        if stem and layer.isdigit() and not same_layers:
            position = int((int(layer) + 0.5) / depth * other_depth)
            partner = f"{stem}_l{position:02d}"
        if other.columns.get(partner) == kind:
            found.append(_Column(name, partner))
    return tuple(found)


def matched_classes(
    names: Sequence[str], other_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the classes that both have, here and there.

    Of classes with the same name the first is matched with the first, and so on: ImageNet has two
    cranes.
    """
    place = {key: number for number, key in enumerate(_numbered(other_names))}
    pairs = [(i, place[key]) for i, key in enumerate(_numbered(names)) if key in place]
    here, there = np.array(pairs, np.int64).reshape(-1, 2).T
    return here, there


def _numbered(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    seen: Counter[str] = Counter()
    for name in names:
        yield name, seen[name]
        seen[name] += 1


def _drifts(one: Atlas, other: Atlas, same_layers: bool) -> list[dict[str, Any]]:
    """Return a row per class and column; classes (or groups) are matched by name."""
    here, there = matched_classes(one.names, other.names)
    shared = [one.names[number] for number in here]
    compared = []
    for column in matched(one, other, same_layers):
        counts = _with_all(one.histogram(column.name)[here])
        other_counts = _with_all(other.histogram(column.other)[there])
        found = drift(counts, other_counts, _scale(one, column.name))
        few = np.minimum(counts.sum(1), other_counts.sum(1)) < LEAST_IMAGES
        found.p[few] = np.nan
        means = [
            _with_mean(atlas, name, chosen)
            for atlas, name, chosen in ((one, column.name, here), (other, column.other, there))
        ]
        compared.append((column, found, counts.sum(1), other_counts.sum(1), *means))
    if not compared:
        return []
    q = benjamini_hochberg(np.stack([found.p for _, found, *_ in compared]))
    numbers: list[int | None] = [*here.tolist(), None]
    names: list[str | None] = [*shared, None]
    return [
        _drift_row(column, number, name, i, found, n, m, a, b, float(q[j, i]))
        for j, (column, found, n, m, a, b) in enumerate(compared)
        for i, (number, name) in enumerate(zip(numbers, names, strict=True))
        if not np.isnan(q[j, i])
    ]


def _drift_row(
    column: _Column,
    number: int | None,
    name: str | None,
    i: int,
    found: Drift,
    n: NDArray[np.int64],
    m: NDArray[np.int64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    q: float,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": "drift",
        "class": number,
        "class_name": name,
        "statistic": column.name,
        "other_statistic": column.other,
        "images": int(n[i]),
        "other_images": int(m[i]),
        "value": float(a[i]),
        "control": float(b[i]),
        "ks": float(found.ks[i]),
        "w1": float(found.w1[i]),
        "psi": float(found.psi[i]),
        "q": q,
        "sentence": None,
    }
    if q <= Q_LIMIT and row["psi"] >= LEAST_PSI and row["ks"] >= LEAST_KS:
        row["sentence"] = _drift_sentence(row)
    return row


def _drift_sentence(row: dict[str, Any]) -> str:
    name = row["class_name"]
    who = "All classes together differ" if row["class"] is None else f"{quote(name)} differs"
    what = row["statistic"]
    if row["other_statistic"] != what:
        what = f"{what} (the other's {row['other_statistic']})"
    return (
        f"{who} in {what}: {figure(row['value'])} on average, {figure(row['control'])} in the "
        f"other (KS {rate(row['ks'])}, PSI {rate(row['psi'])}, q = {rate(row['q'])}, "
        f"{row['images']} and {row['other_images']} images)."
    )


def _with_all(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Append the sum of all classes."""
    return np.concatenate([counts, counts.sum(0, keepdims=True)])


def _with_mean(atlas: Atlas, column: str, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the means of some classes, and that of all their images."""
    mean, _, images = atlas.column_moments(column)
    mean, weight = mean[chosen], images[chosen]
    total = np.nansum(mean * weight) / max(1, int(weight.sum()))
    means = np.append(mean, total)
    return 10.0**means if atlas.columns[column] == "mass" else means


def _scale(atlas: Atlas, column: str) -> NDArray[np.float64]:
    """Return the edges on the scale of W1: octaves of a ratio, decades of a mass."""
    edges = atlas.edges(column)
    kind = atlas.columns[column]
    if kind == "ratio":
        return np.asarray(np.log2(edges))
    return np.asarray(np.log10(edges)) if kind == "mass" else edges
