"""Properties that betray the label: of one class unlike of any other.

Classes differ by nature in how bright, how colourful or how large their images are. What is
reported is a class whose property tells its images from all others' (Mann–Whitney) *and* does so
more than classes differ by nature: the p-value is the larger of the two, with one false-discovery
rate for all classes and properties.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from pipeline.audit.faults.properties import LOSSLESS, PROPERTIES, Measured
from pipeline.audit.finding import SHOWN, Finding
from pipeline.audit.stats.contrast import (
    LEAST_CLASSES,
    MAD_EFFICIENCY,
    benjamini_hochberg,
    upper_tail,
)
from pipeline.audit.text.numbers import figure
from pipeline.audit.text.quoting import quote

Float = NDArray[np.float64]

LEAST_IMAGES = 10
"""Least measured images of a class that is judged or serves as a control."""

LARGEST_Q = 0.01

LEAST_GAP = 0.1
"""Least distance of the AUROC from that of the other classes: 20 % of the images are apart."""

_FLOOR = 0.1
"""Least deviation of the classes in log-odds: where they hardly differ, AUROCs differ by 0.02."""

PROPERTIES_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("property", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("median", pa.float64(), nullable=False),
        pa.field("median_elsewhere", pa.float64(), nullable=False),
        pa.field("auroc", pa.float64(), nullable=False),
        pa.field("auroc_elsewhere", pa.float64(), nullable=False),
        pa.field("z", pa.float64(), nullable=False),
        pa.field("q", pa.float64(), nullable=False),
    ]
)
"""``auroc`` is above ½ where the class's images have more of the property than others';
``auroc_elsewhere`` is the median of the other classes', ``z`` how far apart the two are."""


@dataclass(frozen=True)
class Betrayal:
    """How far one property tells one class, as in :data:`PROPERTIES_SCHEMA`."""

    class_id: int
    name: str
    images: int
    median: float
    median_elsewhere: float
    auroc: float
    auroc_elsewhere: float
    z: float
    p: float
    q: float = float("nan")

    @property
    def found(self) -> bool:
        """Whether it is a finding."""
        apart = abs(self.auroc - self.auroc_elsewhere) >= LEAST_GAP
        return apart and self.q <= LARGEST_Q


def compare_properties(measured: Measured) -> tuple[Betrayal, ...]:
    """Return how far every property tells every class with enough measured images."""
    found: list[Betrayal] = []
    for name, values in measured.values.items():
        known = np.isfinite(values)
        found += _of_property(name, values[known], measured.classes[known])
    if not found:
        return ()
    q = benjamini_hochberg(np.array([item.p for item in found]))
    return tuple(replace(item, q=float(value)) for item, value in zip(found, q, strict=True))


def _of_property(name: str, values: Float, classes: NDArray[np.int64]) -> list[Betrayal]:
    ids, counts = np.unique(classes, return_counts=True)
    ids = ids[counts >= LEAST_IMAGES]
    if len(ids) < LEAST_CLASSES:
        return []
    ranks = rankdata(values)
    _, ties = np.unique(values, return_counts=True)
    tested = [_mann_whitney(ranks, ties, classes == key) for key in ids]
    sizes = counts[counts >= LEAST_IMAGES].tolist()
    odds = np.array([_log_odds(item[0], size) for item, size in zip(tested, sizes, strict=True)])
    found = []
    for place, (key, (auroc, p)) in enumerate(zip(ids.tolist(), tested, strict=True)):
        own, others = classes == key, np.delete(odds, place)
        middle = float(np.median(others))
        spread = 1.4826 * float(np.median(np.abs(others - middle)))
        z = (float(odds[place]) - middle) / max(_FLOOR, spread)
        found.append(
            Betrayal(
                class_id=key,
                name=name,
                images=int(own.sum()),
                median=float(np.median(values[own])),
                median_elsewhere=float(np.median(values[~own])),
                auroc=auroc,
                auroc_elsewhere=float(1 / (1 + np.exp(-middle))),
                z=z,
                p=max(p, _unlike(z, len(others), estimated=spread > _FLOOR)),
            )
        )
    return found


def _mann_whitney(
    ranks: Float, ties: NDArray[np.int64], own: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return AUROC and two-sided p of the class against the rest, with ties (normal, corrected)."""
    n, m = int(own.sum()), int((~own).sum())
    auroc = (float(ranks[own].sum()) - n * (n + 1) / 2) / (n * m)
    total = n + m
    tied = float((ties.astype(np.float64) ** 3 - ties).sum()) / (total * (total - 1))
    deviation = ((total + 1 - tied) / (12 * n * m)) ** 0.5
    if deviation == 0:
        return 0.5, 1.0
    return auroc, float(2 * norm.sf(max(0.0, abs(auroc - 0.5) - 0.5 / (n * m)) / deviation))


def _unlike(z: float, others: int, estimated: bool) -> float:
    """Return the two-sided p of a class that lies ``z`` deviations from the others.

    A MAD of few classes has few degrees of freedom; the floor is no estimate.
    """
    if not estimated:
        return float(2 * norm.sf(abs(z)))
    return 2 * upper_tail(abs(z), max(1.0, MAD_EFFICIENCY * (others - 1)))


def _log_odds(auroc: float, images: int) -> float:
    """Return the log-odds of an AUROC; of n images it is never surer than 1 in 2 n."""
    least = 1 / (2 * images)
    kept = min(max(auroc, least), 1 - least)
    return float(np.log(kept / (1 - kept)))


def find_properties(
    measured: Measured, compared: Sequence[Betrayal], names: Sequence[str]
) -> list[Finding]:
    """Return a finding for every class with properties unlike those of any other, the best first.

    Several properties of one class are one finding, those beside the clearest in ``supporting``.
    """
    by_class: dict[int, list[Betrayal]] = {}
    for item in sorted(compared, key=lambda item: -abs(item.z)):
        if item.found:
            by_class.setdefault(item.class_id, []).append(item)
    return [_finding(measured, items, names[key]) for key, items in by_class.items()]


def _finding(measured: Measured, items: Sequence[Betrayal], name: str) -> Finding:
    first = items[0]
    more = first.auroc > first.auroc_elsewhere
    own = np.flatnonzero(measured.classes == first.class_id)
    values = measured.values[first.name][own]
    values = np.where(np.isfinite(values), values, -np.inf if more else np.inf)
    shown = own[np.argsort(-values if more else values, kind="stable")][:SHOWN]
    return Finding(
        kind="property",
        class_id=first.class_id,
        class_name=name,
        statistic=first.name,
        value=first.auroc,
        control=first.auroc_elsewhere,
        effect=abs(first.auroc - first.auroc_elsewhere),
        z=first.z,
        q=first.q,
        images=first.images,
        severity="low",
        supporting=tuple(item.name for item in items[1:]),
        sentence=_sentence(first, more, name, float(values.max() if more else values.min())),
        evidence=tuple(
            (int(measured.rows[i]), float(measured.values[first.name][i])) for i in shown
        ),
    )


def _sentence(first: Betrayal, more: bool, name: str, extreme: float) -> str:
    known = PROPERTIES[first.name]
    side = "higher" if more else "lower"
    reach = "up to" if more else "down to"
    said = (
        f"Images of {quote(name)} can be recognised by their {known.words} alone, which is {side} "
        f"than elsewhere: {reach} {_value(first.name, extreme)}, in other classes "
        f"{_value(first.name, first.median_elsewhere)} (the median)."
    )
    if known.operator:
        said += f" Test whether the model does: flowatlas probe --operator {known.operator}."
    return said


def _value(name: str, value: float) -> str:
    return "lossless" if name == "quality" and value == LOSSLESS else figure(value)


def properties_table(compared: Sequence[Betrayal], names: Sequence[str]) -> pa.Table:
    """Return the table of all classes and properties."""
    rows = [
        {
            "class": item.class_id,
            "class_name": names[item.class_id],
            "property": item.name,
            "images": item.images,
            "median": item.median,
            "median_elsewhere": item.median_elsewhere,
            "auroc": item.auroc,
            "auroc_elsewhere": item.auroc_elsewhere,
            "z": item.z,
            "q": item.q,
        }
        for item in compared
    ]
    return pa.Table.from_pylist(rows, schema=PROPERTIES_SCHEMA)
