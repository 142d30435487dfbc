"""The audit's findings as a report shows them: a sentence, its numbers, its evidence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.audit.causal.suspects import place_of
from pipeline.audit.run import EVIDENCE
from pipeline.store import Run

_NUMBERS = ("value", "control", "effect", "z", "q", "images", "layer")


@dataclass(frozen=True)
class Finding:
    """One finding of the audit."""

    rank: int
    """0 is the gravest."""
    kind: str
    severity: str
    class_id: int | None
    """None where a finding is about the whole run."""
    class_name: str
    statistic: str
    supporting: tuple[str, ...]
    """Other statistics that say the same of the class, the strongest first."""
    sentence: str
    numbers: tuple[tuple[str, float], ...]
    """(name, value) of what the sentence rests on, as far as it is defined."""
    evidence: tuple[int, ...]
    """Rows, the strongest first."""

    @property
    def placed(self) -> bool:
        """Whether it names a place, so that ``flowatlas confirm`` can test it."""
        return place_of(self.kind, (self.statistic, *self.supporting)) is not None

    def shortened(self, most: int) -> "Finding":
        """Return the finding with at most ``most`` rows of evidence."""
        return replace(self, evidence=self.evidence[:most])


def read_findings(run: Run, evidence: int) -> tuple[Finding, ...]:
    """Return the findings, the gravest first, each with at most ``evidence`` rows.

    Raises
    ------
    RunIncomplete
        The run has no audit yet.
    """
    findings = run.findings().sort_by("finding").to_pylist()
    rows: dict[int, list[int]] = {entry["finding"]: [] for entry in findings}
    order = [("finding", "ascending"), ("rank", "ascending")]
    for entry in run.table(EVIDENCE).sort_by(order).to_pylist():
        rows[entry["finding"]].append(entry["row"])
    return tuple(_finding(entry, rows[entry["finding"]][:evidence]) for entry in findings)


def _finding(entry: Mapping[str, Any], evidence: Sequence[int]) -> Finding:
    return Finding(
        rank=entry["finding"],
        kind=entry["kind"],
        severity=entry["severity"],
        class_id=entry["class"],
        class_name=entry["class_name"],
        statistic=entry["statistic"],
        supporting=tuple(name for name in entry["supporting"].split(", ") if name),
        sentence=entry["sentence"],
        numbers=tuple((name, float(entry[name])) for name in _NUMBERS if _defined(entry[name])),
        evidence=tuple(evidence),
    )


def _defined(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
