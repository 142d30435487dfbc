"""``Entry``: one finding of any kind, as it is stored; and the tables that entries become."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

KINDS = (
    "shortcut",
    "rare",
    "echo",
    "lead",
    "cluster",
    "outlier",
    "wrong_vs_right",
    "fault",
    "drift",
)
"""What a finding can be, and what ``--fail-on`` can name."""

SEVERITIES = ("high", "medium", "low")

CONFIRMATIONS = "audit/confirmations.parquet"
"""Verdicts on findings, by their number."""

SHOWN = 16
"""Images of evidence per finding."""

FINDINGS_SCHEMA = pa.schema(
    [
        pa.field("finding", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("class", pa.int32()),
        pa.field("class_name", pa.string()),
        pa.field("statistic", pa.string(), nullable=False),
        pa.field("layer", pa.int32()),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("control", pa.float64()),
        pa.field("effect", pa.float64()),
        pa.field("z", pa.float64()),
        pa.field("q", pa.float64()),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("severity", pa.string(), nullable=False),
        pa.field("supporting", pa.string(), nullable=False),
        pa.field("sentence", pa.string(), nullable=False),
    ]
)

EVIDENCE_SCHEMA = pa.schema(
    [
        pa.field("finding", pa.int32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("value", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Entry:
    """A finding with its evidence.

    ``number`` is the class, None where a finding is about the whole run. ``control`` is what
    ``value`` would be without the finding, ``effect`` how far apart the two are (the sentence says
    in which unit), ``q`` the false discovery rate; None where a fact needs no test. ``evidence``
    are rows with the value that puts them there, the most telling first.
    """

    kind: str
    number: int | None
    statistic: str
    value: float
    images: int
    severity: str
    sentence: str
    control: float | None = None
    effect: float | None = None
    z: float | None = None
    q: float | None = None
    layer: int | None = None
    supporting: tuple[str, ...] = ()
    evidence: tuple[tuple[int, float], ...] = ()


def findings_table(entries: Sequence[Entry], names: Sequence[str]) -> pa.Table:
    """Return the entries as the table of findings, in their order."""
    rows = [
        {
            "finding": rank,
            "kind": entry.kind,
            "class": entry.number,
            "class_name": None if entry.number is None else names[entry.number],
            "statistic": entry.statistic,
            "layer": entry.layer,
            "value": entry.value,
            "control": entry.control,
            "effect": entry.effect,
            "z": entry.z,
            "q": entry.q,
            "images": entry.images,
            "severity": entry.severity,
            "supporting": ", ".join(entry.supporting),
            "sentence": entry.sentence,
        }
        for rank, entry in enumerate(entries)
    ]
    return pa.Table.from_pylist(rows, schema=FINDINGS_SCHEMA)


def evidence_table(entries: Sequence[Entry]) -> pa.Table:
    """Return the rows that show the entries, at most ``SHOWN`` each."""
    rows = [
        {"finding": number, "rank": rank, "row": row, "value": value}
        for number, entry in enumerate(entries)
        for rank, (row, value) in enumerate(entry.evidence[:SHOWN])
    ]
    return pa.Table.from_pylist(rows, schema=EVIDENCE_SCHEMA)
