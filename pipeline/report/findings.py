"""The audit's findings as a report shows them: a sentence, its numbers, its evidence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.store import Run

_EVIDENCE = "audit/evidence.parquet"
_NUMBERS = ("value", "control", "effect", "z", "q", "images", "layer")


@dataclass(frozen=True)
class Finding:
    """One finding of the audit."""

    rank: int
    """0 is the gravest."""
    kind: str
    class_id: int | None
    class_name: str | None
    statistic: str
    sentence: str
    numbers: tuple[tuple[str, float], ...]
    """(name, value) of what the sentence rests on, as far as it is defined."""
    evidence: tuple[int, ...]
    """Rows, the strongest first."""


def read_findings(run: Run, evidence: int) -> tuple[Finding, ...]:
    """Return the findings, the gravest first, each with at most ``evidence`` rows."""
    rows: dict[int, list[int]] = {}
    order = [("finding", "ascending"), ("rank", "ascending")]
    for entry in run.table(_EVIDENCE).sort_by(order).to_pylist():
        shown = rows.setdefault(entry["finding"], [])
        if len(shown) < evidence:
            shown.append(entry["row"])
    return tuple(
        _finding(entry, tuple(rows.get(entry["finding"], ())))
        for entry in run.findings().sort_by("finding").to_pylist()
    )


def _finding(entry: Mapping[str, Any], evidence: tuple[int, ...]) -> Finding:
    known = entry["class"] is not None and entry["class"] >= 0
    return Finding(
        rank=entry["finding"],
        kind=entry["kind"],
        class_id=entry["class"] if known else None,
        class_name=entry["class_name"] if known else None,
        statistic=entry["statistic"],
        sentence=entry["sentence"],
        numbers=tuple((name, float(entry[name])) for name in _NUMBERS if _defined(name, entry[name])),
        evidence=evidence,
    )


def _defined(name: str, value: float | None) -> bool:
    return value is not None and math.isfinite(value) and not (name == "layer" and value < 0)
