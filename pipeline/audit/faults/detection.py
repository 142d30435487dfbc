"""Image faults: near duplicates, odd sizes, dark and blurred images, quarantined ones.

What the pixels alone explain should not be taken for something the model does. These are facts, so
they have no q-value; a run of clean images has none of them.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas import ALIKE
from pipeline.audit.faults.near_duplicates import groups_of, near_duplicates
from pipeline.audit.finding import Finding
from pipeline.audit.multi_label.images import first_rows
from pipeline.audit.text.numbers import percent
from pipeline.nouns import agreeing, counted
from pipeline.store import Run, Status

PROBABLE = ALIKE | {"sharpness": float(np.log(1.5))}
"""The same of probable duplicates, whose hashes are equal: one may have been saved again, softer or
sharper."""

DARK = 0.04
"""Mean luma below which an image shows next to nothing."""

BLURRED = 0.002
"""Sharpness below which nothing in an image has an edge."""

ODD = 8.0
"""Times larger, smaller, wider or taller than the middle of the data set."""

_COLUMNS = ("row", "status", "label", "width", "height", "phash")
_PIXELS = ("brightness", "contrast", "sharpness")

Images = dict[str, NDArray[np.float64]]


def find_faults(run: Run) -> list[Finding]:
    """Return a finding for every kind of fault that some images have, with these images."""
    schema = run.summary().schema
    names = [name for name in (*_COLUMNS, *_PIXELS) if name in schema.names]
    multi_label = "image" in schema.names
    names += ["image"] * multi_label
    table: pa.Table = run.summary().to_table(columns=names).sort_by("row")
    if multi_label:
        table = _images_of(table, run)
    found = [*_of_hashes(table)] if "phash" in names else []
    checks: tuple[Callable[[pa.Table], Finding | None], ...] = (_dark, _blurred, _odd, _quarantined)
    return found + [finding for check in checks if (finding := check(table)) is not None]


def _images_of(table: pa.Table, run: Run) -> pa.Table:
    """Return one row per image of several labels; its label is a number for all of them."""
    table = first_rows(table)
    sets = run.index_take(table["row"].to_pylist())["labels"].to_pylist()
    numbers: dict[tuple[int, ...], int] = {}
    labels = [None if s is None else numbers.setdefault(tuple(s), len(numbers)) for s in sets]
    return table.set_column(table.column_names.index("label"), "label", pa.array(labels))


def _of_hashes(table: pa.Table) -> list[Finding]:
    """Return near duplicates, and among them those that are labelled differently."""
    known = table.filter(table["phash"].is_valid())
    rows, labels = _floats(known, "row"), _floats(known, "label")
    hashes = known["phash"].to_numpy()
    every = near_duplicates(hashes)
    pairs = _alike(known, every, ALIKE)
    equal = _alike(known, every[hashes[every[:, 0]] == hashes[every[:, 1]]], PROBABLE)
    probable = _probable(rows, pairs, equal)
    if not len(pairs):
        return probable
    groups = groups_of(pairs)
    found = [
        _of_groups(
            "near_duplicates",
            "medium",
            rows,
            groups,
            "{images} have a near duplicate in the dataset; they form {groups}.",
        )
    ]
    found += probable
    mixed = [group for group in groups if len(np.unique(labels[group])) > 1]
    if mixed and not np.isnan(labels).all():
        found.append(
            _of_groups(
                "duplicates_with_other_labels",
                "high",
                rows,
                mixed,
                "{images} in {groups} of near duplicates have different labels within "
                "their group: a wrong label, or several things in view.",
            )
        )
    return found


def _of_groups(
    statistic: str,
    severity: str,
    rows: NDArray[np.float64],
    groups: Sequence[NDArray[np.int64]],
    sentence: str,
) -> Finding:
    """Return a finding on groups of images; the value of its evidence is the group's number."""
    images = sum(len(group) for group in groups)
    return Finding(
        kind="fault",
        class_id=None,
        statistic=statistic,
        value=float(len(groups)),
        control=0.0,
        images=images,
        severity=severity,
        sentence=sentence.format(
            images=counted(images, "image"), groups=counted(len(groups), "group")
        ),
        evidence=tuple((int(rows[i]), float(n)) for n, group in enumerate(groups) for i in group),
    )


def _alike(
    known: pa.Table, pairs: NDArray[np.int64], limits: Mapping[str, float]
) -> NDArray[np.int64]:
    """Return the pairs (n, 2) whose pixels are alike: stripes of one pitch share a hash, too."""
    for column, limit in limits.items():
        if column in known.column_names:
            values = _floats(known, column)[pairs]
            if column == "sharpness":
                values = np.log(values)
            pairs = pairs[np.abs(values[:, 0] - values[:, 1]) <= limit]
    return pairs


def _probable(
    rows: NDArray[np.float64], pairs: NDArray[np.int64], equal: NDArray[np.int64]
) -> list[Finding]:
    """Return a finding on the pairs with equal hashes that are not near duplicates already."""
    certain = {tuple(pair) for pair in pairs.tolist()}
    left = [pair for pair in equal.tolist() if tuple(pair) not in certain]
    if not left:
        return []
    return [
        _of_groups(
            "probable_duplicates",
            "low",
            rows,
            groups_of(np.asarray(left, np.int64)),
            "{images} are probably duplicates of another one that is softer or sharper; "
            "they form {groups}.",
        )
    ]


def _dark(table: pa.Table) -> Finding | None:
    return _below(table, "brightness", DARK, "almost black: a mean brightness below")


def _blurred(table: pa.Table) -> Finding | None:
    return _below(table, "sharpness", BLURRED, "blurred: a sharpness below")


def _below(table: pa.Table, column: str, limit: float, words: str) -> Finding | None:
    if column not in table.column_names:
        return None
    values, rows = _floats(table, column), _floats(table, "row")
    chosen = np.flatnonzero(values < limit)
    chosen = chosen[np.argsort(values[chosen], kind="stable")]
    if not len(chosen):
        return None
    return Finding(
        kind="fault",
        class_id=None,
        statistic=column,
        columns=(column,),
        value=float(values[chosen].max()),
        control=limit,
        images=len(chosen),
        severity="medium",
        sentence=f"{_images(len(chosen))} {words} {limit:g} (1 is white)."
        if column == "brightness"
        else f"{_images(len(chosen))} {words} {limit:g} (noise has 20).",
        evidence=tuple((int(rows[i]), float(values[i])) for i in chosen),
    )


def _odd(table: pa.Table) -> Finding | None:
    """Find sizes and shapes that are several times off the middle of the data set."""
    width, height, rows = (_floats(table, name) for name in ("width", "height", "row"))
    known = (width > 0) & (height > 0)  # what could not be decoded has no size to be odd
    width, height = np.where(known, width, 1), np.where(known, height, 1)
    if not known.any():
        return None
    off = np.zeros(len(rows))
    for values in (np.log(width * height) / 2, np.log(width / height)):
        off = np.fmax(off, np.abs(values - np.median(values[known])))
    times = np.exp(np.where(known, off, 0))
    chosen = np.flatnonzero(times >= ODD)
    chosen = chosen[np.argsort(-times[chosen], kind="stable")]
    if not len(chosen):
        return None
    return Finding(
        kind="fault",
        class_id=None,
        statistic="odd_size",
        value=float(times[chosen].min()),
        control=ODD,
        images=len(chosen),
        severity="medium",
        sentence=f"{_images(len(chosen))} at least {ODD:g} times larger, smaller, wider or "
        "taller than the middle of the data set.",
        evidence=tuple((int(rows[i]), float(times[i])) for i in chosen),
    )


def _quarantined(table: pa.Table) -> Finding | None:
    status, rows = table["status"].to_numpy(), _floats(table, "row")
    chosen = np.flatnonzero(status == Status.QUARANTINED)
    share = len(chosen) / max(1, len(status))
    if share < QUARANTINED:
        return None
    return Finding(
        kind="fault",
        class_id=None,
        statistic="quarantined",
        value=share,
        control=QUARANTINED,
        images=len(chosen),
        severity="medium",
        sentence=f"{counted(len(chosen), 'image')} ({percent(share)}) could not be used and "
        f"{agreeing(len(chosen), 'is', 'are')} quarantined.",
        evidence=tuple((int(rows[i]), 1.0) for i in chosen),
    )


QUARANTINED = 0.05
"""Share of quarantined images that is worth a finding; the report shows every one."""


def _images(count: int) -> str:
    return f"{counted(count, 'image')} {agreeing(count, 'is', 'are')}"


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=np.float64)
