"""Findings and their evidence as they are stored: two Parquet tables, and their one reader."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from pipeline.audit.finding import SHOWN, Finding
from pipeline.errors import RunIncomplete
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import FINDINGS

EVIDENCE = "audit/evidence.parquet"

CONFIRMATIONS = "audit/confirmations.parquet"
"""Verdicts on findings, by their number."""

SANITY = "audit/sanity.parquet"
"""How alike the run's maps and those of baselines are."""

SCREENING = "audit/screening.parquet"
"""Parts of images that were put onto others, and what that did."""

EVALUATION = "audit/evaluation.parquet"
"""The run's maps beside others and a causal reference, in numbers."""

FINDINGS_SCHEMA = pa.schema(
    [
        pa.field("finding", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("class", pa.int32()),
        pa.field("class_name", pa.string()),
        pa.field("statistic", pa.string(), nullable=False),
        pa.field("columns", pa.list_(pa.string()), nullable=False),
        pa.field("place", pa.string()),
        pa.field("layer", pa.int32()),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("control", pa.float64()),
        pa.field("effect", pa.float64()),
        pa.field("z", pa.float64()),
        pa.field("q", pa.float64()),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("carriers", pa.int64()),
        pa.field("elsewhere", pa.float64()),
        pa.field("severity", pa.string(), nullable=False),
        pa.field("supporting", pa.list_(pa.string()), nullable=False),
        pa.field("sentence", pa.string(), nullable=False),
    ]
)
"""A row for every :class:`~pipeline.audit.finding.Finding`: ``finding`` is its number, ``class``
its class_id."""

EVIDENCE_SCHEMA = pa.schema(
    [
        pa.field("finding", pa.int32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("value", pa.float32(), nullable=False),
    ]
)

_RENAMED = {"finding": "number", "class": "class_id"}


def numbered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with their numbers, in the order given."""
    return tuple(replace(finding, number=number) for number, finding in enumerate(findings))


def findings_table(findings: Sequence[Finding]) -> pa.Table:
    """Return numbered findings as the table of findings."""
    attributes = [(name, _RENAMED.get(name, name)) for name in FINDINGS_SCHEMA.names]
    rows = [{name: getattr(finding, own) for name, own in attributes} for finding in findings]
    return pa.Table.from_pylist(rows, schema=FINDINGS_SCHEMA)


def evidence_table(findings: Sequence[Finding]) -> pa.Table:
    """Return the rows that show numbered findings, at most ``SHOWN`` each."""
    rows = [
        {"finding": finding.number, "rank": rank, "row": row, "value": value}
        for finding in findings
        for rank, (row, value) in enumerate(finding.evidence[:SHOWN])
    ]
    return pa.Table.from_pylist(rows, schema=EVIDENCE_SCHEMA)


def write_findings(run: Run, findings: Sequence[Finding]) -> None:
    """Write numbered findings with their evidence in place of earlier ones."""
    run.write(EVIDENCE, parquet_bytes(evidence_table(findings)))
    run.write(FINDINGS, parquet_bytes(findings_table(findings)))


def read_findings(run: Run) -> tuple[Finding, ...]:
    """Return the findings of a run with their evidence, the most severe first.

    Raises
    ------
    RunIncomplete
        The run has no audit yet, or one of an earlier version.
    """
    findings = run.findings()
    if not findings.schema.equals(FINDINGS_SCHEMA):
        raise RunIncomplete(
            f"the audit of {run.uri} was written by another version of flowatlas; make it again "
            f"with: flowatlas audit {run.uri}"
        )
    evidence: dict[int, list[tuple[int, float]]] = {}
    order = [("finding", "ascending"), ("rank", "ascending")]
    for item in run.table(EVIDENCE).sort_by(order).to_pylist():
        evidence.setdefault(item["finding"], []).append((item["row"], item["value"]))
    return tuple(
        _finding(row, evidence.get(row["finding"], ()))
        for row in findings.sort_by("finding").to_pylist()
    )


def _finding(row: dict[str, Any], evidence: Iterable[tuple[int, float]]) -> Finding:
    own = {_RENAMED.get(name, name): value for name, value in row.items()}
    lists = {name: tuple(own[name]) for name in ("columns", "supporting")}
    return Finding(**own | lists, evidence=tuple(evidence))
