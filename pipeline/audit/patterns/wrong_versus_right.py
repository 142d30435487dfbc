"""Wrong versus right: how do the images that a class goes wrong on differ from the others?

Every column of every class is compared between the images the model gets wrong and those it gets
right: Hedges' g (how many standard deviations apart), AUROC (how well the column alone
separates them) and its Mann–Whitney p-value; all p-values share one Benjamini–Hochberg correction.
A class's images are those whose flow explains it: right and wrong answers of the same kind.
Most models look differently where they err, so this is a table; a finding is only a class in which
the two differ unlike they do in any other class.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import rankdata

from pipeline.atlas import TABLES, distinct_rows
from pipeline.audit.explained_class import explained_table
from pipeline.audit.finding import SHOWN, Finding
from pipeline.audit.stats.contrast import benjamini_hochberg, contrast
from pipeline.audit.stats.estimates import Estimates, Statistic
from pipeline.audit.text.numbers import percent
from pipeline.audit.text.quoting import quote
from pipeline.store import Run, Status

Float = NDArray[np.float64]

LEAST = 10
"""Wrong and right images of a class from which they are compared."""

LEAST_AUROC = 0.85
LARGEST_Q = 0.005
_AT_ONCE = 32
"""Columns read at once: 256 MB for a million images."""

_PLACES = ("border_flow", "centre_flow", "mass_flow", "entropy_flow")

WRONG_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("column", pa.string(), nullable=False),
        pa.field("wrong", pa.int64(), nullable=False),
        pa.field("right", pa.int64(), nullable=False),
        pa.field("mean_wrong", pa.float64(), nullable=False),
        pa.field("mean_right", pa.float64(), nullable=False),
        pa.field("g", pa.float64()),
        pa.field("auroc", pa.float64(), nullable=False),
        pa.field("q", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Gap:
    """One column of one class: ``auroc`` above ½ where wrong images have larger values."""

    class_id: int
    column: str
    wrong: int
    right: int
    mean_wrong: float
    mean_right: float
    g: float
    auroc: float
    p: float
    q: float = float("nan")


def compare_wrong(run: Run) -> tuple[Gap, ...]:
    """Return the gap of every class with enough wrong and right images, in every column.

    Except for the divergence between the flows of answer and label, which is 0 in right images.
    """
    columns = [column.name for column in run.spec.columns]
    columns = [name for name in columns if not name.startswith("label_jsd_")]
    gaps = []
    for lo in range(0, len(columns), _AT_ONCE):
        some = columns[lo : lo + _AT_ONCE]
        table = _read(run, some)
        gaps += [gap for column in some for gap in _gaps(table, column)]
    if not gaps:
        return ()
    q = benjamini_hochberg(np.array([gap.p for gap in gaps]))
    return tuple(replace(gap, q=float(value)) for gap, value in zip(gaps, q, strict=True))


def wrong_table(gaps: Sequence[Gap], names: Sequence[str]) -> pa.Table:
    """Return the gaps as a table, the largest first."""
    ordered = sorted(gaps, key=lambda gap: (-abs(gap.auroc - 0.5), gap.class_id, gap.column))
    rows = [
        {
            "class": gap.class_id,
            "class_name": names[gap.class_id],
            **{name: getattr(gap, name) for name in WRONG_SCHEMA.names[2:]},
        }
        for gap in ordered
    ]
    return pa.Table.from_pylist(rows, schema=WRONG_SCHEMA)


def find_wrong(run: Run, gaps: Sequence[Gap], names: Sequence[str]) -> list[Finding]:
    """Return the classes whose wrong images stand out unlike those of any other class."""
    families = [[gap for gap in gaps if gap.column == column] for column in _PLACES]
    families = [own for own in families if own]
    if not families:
        return []
    judged = [contrast([_estimates(own, own[0].column, len(names))])[0] for own in families]
    q = benjamini_hochberg(np.stack([item.p for item in judged]))
    found = []
    for own, item, row in zip(families, judged, q, strict=True):
        for gap in own:
            significant = row[gap.class_id] <= LARGEST_Q and gap.q <= LARGEST_Q  # NaN is not
            if significant and max(gap.auroc, 1 - gap.auroc) >= LEAST_AUROC:
                z, control = float(item.z[gap.class_id]), float(item.control[gap.class_id])
                q_of_class = float(row[gap.class_id])
                found.append(_finding(run, gap, names, control=control, z=z, q=q_of_class))
    return found


def _estimates(gaps: Sequence[Gap], column: str, classes: int) -> Estimates:
    """Score how far a class's AUROC is from ½, in logits (error: Hanley and McNeil 1982)."""
    value, error = np.full(classes, np.nan), np.full(classes, np.nan)
    images = np.zeros(classes, np.int64)
    for gap in gaps:
        a = float(np.clip(max(gap.auroc, 1 - gap.auroc), 0.5, 1 - 0.5 / (gap.wrong * gap.right)))
        one, two = a / (2 - a), 2 * a * a / (1 + a)
        spread = a * (1 - a) + (gap.wrong - 1) * (one - a * a) + (gap.right - 1) * (two - a * a)
        value[gap.class_id] = a
        error[gap.class_id] = np.sqrt(spread / (gap.wrong * gap.right)) / (a * (1 - a))
        images[gap.class_id] = gap.wrong
    statistic = Statistic(column, "wrong", "auroc", upwards=True, effect=0.0)
    return Estimates(statistic, value, np.log(value / (1 - value)), error, images)


def _finding(
    run: Run, gap: Gap, names: Sequence[str], *, control: float, z: float, q: float
) -> Finding:
    auroc = max(gap.auroc, 1 - gap.auroc)
    higher = "higher" if gap.auroc > 0.5 else "lower"
    return Finding(
        kind="wrong_vs_right",
        class_id=gap.class_id,
        class_name=names[gap.class_id],
        statistic=gap.column,
        columns=(gap.column,),
        value=auroc,
        control=control,
        effect=abs(gap.g),
        z=z,
        q=q,
        images=gap.wrong + gap.right,
        severity="medium",
        sentence=f"{quote(names[gap.class_id])} goes wrong where {gap.column} is {higher}: of a "
        f"wrong and a right image the wrong one has the {higher} value in {percent(auroc)} of all "
        f"pairs, in other classes in {percent(control)}.",
        evidence=_evidence(run, gap),
    )


def _evidence(run: Run, gap: Gap) -> tuple[tuple[int, float], ...]:
    table = _read(run, [gap.column])
    values = np.asarray(table[gap.column].to_numpy(), np.float64)
    wrong = ~np.asarray(table["correct"].to_numpy(), bool) & ~np.isnan(values)
    mask = wrong & (table["class"].to_numpy() == gap.class_id)
    rows, values = table["row"].to_numpy()[mask], values[mask]
    order = np.lexsort((rows, -values if gap.auroc > 0.5 else values))[:SHOWN]
    return tuple(zip(rows[order].tolist(), values[order].tolist(), strict=True))


def _read(run: Run, columns: Sequence[str]) -> pa.Table:
    """Return some columns of the images that have a label and an answer.

    Of near duplicates the first one, if the run's atlas weighs images.
    """
    group = pc.field(TABLES[explained_table(run)])
    known = (pc.field("status") == int(Status.OK)) & pc.field("correct").is_valid()
    known &= group.is_valid()
    wanted = ["row", "correct", *columns]
    named = {name: pc.field(name) for name in wanted}
    named["class"] = group
    found: pa.Table = run.summary().to_table(columns=named, filter=known)
    distinct = distinct_rows(run)
    return found if distinct is None else found.filter(pa.array(distinct[found["row"].to_numpy()]))


def _gaps(table: pa.Table, column: str) -> Iterator[Gap]:
    values = np.asarray(table[column].to_numpy(), np.float64)
    defined = ~np.isnan(values)
    classes = table["class"].to_numpy()[defined]
    right = np.asarray(table["correct"].to_numpy(), bool)[defined]
    values = values[defined]
    order = np.argsort(classes, kind="stable")
    cuts = np.flatnonzero(np.diff(classes[order])) + 1
    for chosen in np.split(order, cuts):
        wrong = ~right[chosen]
        if LEAST <= wrong.sum() <= len(chosen) - LEAST:
            class_id = int(classes[chosen[0]])
            yield gap(class_id, column, values[chosen][wrong], values[chosen][~wrong])


def gap(class_id: int, column: str, wrong: Float, right: Float) -> Gap:
    """Compare the values of a class's wrong and right images."""
    n, m = len(wrong), len(right)
    ranks = rankdata(np.concatenate([wrong, right]))
    auroc = float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))
    _, ties = np.unique(ranks, return_counts=True)
    variance = ((n + m + 1) - (ties**3 - ties).sum() / ((n + m) * (n + m - 1))) / (12 * n * m)
    p = float(2 * ndtr(-abs(auroc - 0.5) / np.sqrt(variance))) if variance > 0 else 1.0
    return Gap(
        class_id=class_id,
        column=column,
        wrong=n,
        right=m,
        mean_wrong=float(wrong.mean()),
        mean_right=float(right.mean()),
        g=hedges_g(wrong, right),
        auroc=auroc,
        p=min(1.0, p),
    )


def hedges_g(one: Float, other: Float) -> float:
    """Return Hedges' g (1981) with its small-sample correction; NaN without any spread."""
    n, m = len(one), len(other)
    pooled = ((n - 1) * one.var(ddof=1) + (m - 1) * other.var(ddof=1)) / (n + m - 2)
    if pooled == 0:
        return float("nan")
    return float((1 - 3 / (4 * (n + m) - 9)) * (one.mean() - other.mean()) / np.sqrt(pooled))
