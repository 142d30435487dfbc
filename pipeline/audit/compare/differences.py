"""Differences of each class, and of all for the same class mix, from another run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.audit.compare.drift import Drift, drift, standardised_drift
from pipeline.audit.compare.matching import ColumnPair, matched, matched_classes
from pipeline.audit.compare.standardisation import Standardised, standardise
from pipeline.audit.shortcuts.detection import Q_LIMIT
from pipeline.audit.stats.contrast import benjamini_hochberg
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.audit.text.numbers import figure, percent, rate
from pipeline.audit.text.quoting import quote
from pipeline.nouns import counted

LEAST_PSI = 0.25
"""Population stability index from which a difference is reported."""

LEAST_KS = 0.15

LEAST_CHANGE = 0.1
"""Least difference of two means that a sentence quotes, as a part of the larger one."""

LEAST_SHIFT = 0.5
"""Least part of the area between two distributions that goes the same way, likewise."""


@dataclass(frozen=True)
class _Whole:
    """All classes for the same class mix: their drift (1,), and the ``means`` (2,) of both runs."""

    same: Standardised
    found: Drift
    means: NDArray[np.float64]


@dataclass(frozen=True)
class _Compared:
    """A column of K shared classes in both runs: their drift (K,), ``images`` and ``means`` (2, K).

    ``whole`` is None with too few images to standardise. ``edges`` are those of the column's bins.
    """

    column: ColumnPair
    found: Drift
    images: NDArray[np.int64]
    means: NDArray[np.float64]
    whole: _Whole | None
    edges: NDArray[np.float64]


_NOT_OF_MAPS = {"confidence", "brightness", "contrast", "sharpness"}


def differences(
    one: Atlas,
    other: Atlas,
    same_layers: bool,
    names: tuple[str, str] = ("the first", "the other"),
    same_method: bool = True,
) -> list[dict[str, Any]]:
    """Return a row per column and class, and one for all classes in the first's class mix.

    Classes (or groups) are matched by name. What has too few images has no row; all p-values share
    one Benjamini–Hochberg correction. ``names`` are those of the runs. Of maps of two methods
    nothing is compared.
    """
    here, there = matched_classes(one.names, other.names)
    compared = [
        _compare(one, other, column, here, there)
        for column in matched(one, other, same_layers)
        if same_method or column.name in _NOT_OF_MAPS
    ]
    if not compared:
        return []
    p = [[*item.found.p, *(item.whole.found.p if item.whole else [np.nan])] for item in compared]
    q = benjamini_hochberg(np.array(p))
    group = "group" if one.facts["by"] else "class"
    rows = []
    for item, own in zip(compared, q, strict=True):
        for i, number in enumerate(here.tolist()):
            if not np.isnan(own[i]):
                rows.append(_class_row(item, i, number, one.names[number], float(own[i]), names))
        if item.whole is not None:
            rows.append(_whole_row(item, item.whole, float(own[-1]), group, names))
    return rows


def _compare(
    one: Atlas,
    other: Atlas,
    column: ColumnPair,
    here: NDArray[np.int64],
    there: NDArray[np.int64],
) -> _Compared:
    counts, other_counts = one.histogram(column.name)[here], other.histogram(column.other)[there]
    images = np.stack([counts.sum(1), other_counts.sum(1)])
    scale, kind = _scale(one, column.name), one.columns[column.name]
    found = drift(counts, other_counts, scale)
    found.p[images.min(0) < LEAST_IMAGES] = np.nan
    means = np.stack(
        [one.column_moments(column.name)[0][here], other.column_moments(column.other)[0][there]]
    )
    same = standardise(counts, other_counts)
    whole = None
    if same is not None and min(same.effective, same.other_effective) >= LEAST_IMAGES:
        mean = np.nan_to_num(means) @ same.weights
        whole = _Whole(
            same, standardised_drift(same, scale), 10.0**mean if kind == "mass" else mean
        )
    return _Compared(
        column=column,
        found=found,
        images=images,
        means=10.0**means if kind == "mass" else means,
        whole=whole,
        edges=one.edges(column.name),
    )


def _class_row(
    item: _Compared, i: int, number: int, name: str, q: float, names: tuple[str, str]
) -> dict[str, Any]:
    row = {
        "class": number,
        "class_name": name,
        "images": int(item.images[0, i]),
        "other_images": int(item.images[1, i]),
        "value": float(item.means[0, i]),
        "control": float(item.means[1, i]),
    }
    return _finish(
        row | _distances(item, item.found, i, q), item.found.shift[i], quote(name), names
    )


def _whole_row(
    item: _Compared, whole: _Whole, q: float, group: str, names: tuple[str, str]
) -> dict[str, Any]:
    row = {
        "classes": whole.same.classes,
        "images": whole.same.images,
        "other_images": whole.same.other_images,
        "other_effective": whole.same.other_effective,
        "value": float(whole.means[0]),
        "control": float(whole.means[1]),
    }
    mix = counted(whole.same.classes, group)
    who = f"The whole, standardised to the same mix of {mix},"
    return _finish(row | _distances(item, whole.found, 0, q), whole.found.shift[0], who, names)


def _distances(item: _Compared, found: Drift, i: int, q: float) -> dict[str, Any]:
    return {
        "kind": "drift",
        "statistic": item.column.name,
        "other_statistic": item.column.other,
        "ks": float(found.ks[i]),
        "at": float(item.edges[found.at[i]]),
        "below": float(found.below[i]),
        "other_below": float(found.other_below[i]),
        "w1": float(found.w1[i]),
        "psi": float(found.psi[i]),
        "q": q,
    }


def _finish(row: dict[str, Any], shift: float, who: str, names: tuple[str, str]) -> dict[str, Any]:
    """Add the sentence to what is significant and large."""
    if row["q"] <= Q_LIMIT and row["psi"] >= LEAST_PSI and row["ks"] >= LEAST_KS:
        row["sentence"] = _sentence(row, float(shift), who, names)
    return row


def _sentence(row: dict[str, Any], shift: float, who: str, names: tuple[str, str]) -> str:
    """Quote the means where they differ, else the value that separates the distributions best."""
    what, (own, other) = row["statistic"], map(quote, names)
    if row["other_statistic"] != what:
        what = f"{what} ({row['other_statistic']} in {other})"
    if means_differ(row["value"], row["control"], shift):
        change = f"{figure(row['value'])} on average in {own}, {figure(row['control'])} in {other}"
    else:
        change = (
            f"{percent(row['below'])} of the images are below {figure(row['at'])} in {own}, "
            f"{percent(row['other_below'])} in {other}"
        )
    worth = ""
    if round(row.get("other_effective", row["other_images"])) != row["other_images"]:
        worth = f", the latter weighted and worth {row['other_effective']:.0f}"
    return (
        f"{who} differs in {what}: {change} (KS {rate(row['ks'])}, PSI {rate(row['psi'])}, "
        f"q = {rate(row['q'])}, {row['images']:,} and "
        f"{counted(row['other_images'], 'image')}{worth})."
    )


def means_differ(value: float, control: float, shift: float) -> bool:
    """Return whether two means show a difference: far apart, and most of it in their direction.

    ``shift`` is that of :class:`~pipeline.audit.compare.drift.Drift`. Of narrow distributions means
    can be nearly equal though hardly any image of one lies among the other's.
    """
    apart = abs(control - value) >= LEAST_CHANGE * max(abs(value), abs(control))
    return apart and shift * np.sign(control - value) >= LEAST_SHIFT


def _scale(atlas: Atlas, column: str) -> NDArray[np.float64]:
    """Return the edges on the scale of W1: octaves of a ratio, decades of a mass."""
    edges = atlas.edges(column)
    kind = atlas.columns[column]
    if kind == "ratio":
        return np.asarray(np.log2(edges))
    return np.asarray(np.log10(edges)) if kind == "mass" else edges


_PLACES = ("corner_", "border_", "centre_")
_WHOLE = ("area90_flow", "entropy_flow", "convergence_depth", "depth_centre")


def legibility(statistic: str) -> int:
    """Return how easily a column is understood, from 0: places, extent and depth, rest, layers.

    Places, area and entropy count as such of the accumulated flow; of a layer they come last.
    """
    stem, _, layer = statistic.rpartition("_l")
    if stem and layer.isdigit():
        return 3
    if statistic.startswith(_PLACES):
        return 0
    return 1 if statistic in _WHOLE else 2


def mark_headlines(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark one headline for each class, and for the whole; return those rows, the whole first.

    It is the most legible statistic that has a sentence; among equals, that with the largest PSI.
    The others that have one are named in its ``supporting``, the largest PSI first.
    """
    by_class: dict[int | None, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: -row["psi"]):
        if row.get("sentence"):
            by_class.setdefault(row.get("class"), []).append(row)
    headlines = []
    for group in by_class.values():
        headline = min(group, key=lambda row: legibility(row["statistic"]))
        others = [row["statistic"] for row in group if row is not headline]
        headline |= {"headline": True, "supporting": ", ".join(others)}
        headlines.append(headline)
    return sorted(headlines, key=lambda row: (row.get("class") is not None, -row["psi"]))
