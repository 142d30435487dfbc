"""Findings of a screening, with their verdicts: the shortcuts that no other finding names."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.audit.causal.confirmations_table import CONFIRMATIONS_SCHEMA
from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import (
    CONFIRMATIONS,
    SCREENING,
    findings_table,
    numbered,
    write_findings,
)
from pipeline.audit.places import CORNERS
from pipeline.audit.run import audited
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.screening_table import SCREENING_SCHEMA
from pipeline.nouns import counted
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes

KIND = "screened"

_CORNER_BOXES = dict(zip(CORNERS, ((0, 0), (0, 12), (12, 0), (12, 12)), strict=True))


def screened_findings(run: Run, known: Sequence[Finding]) -> list[Finding]:
    """Return the findings of a run's screening, without those that ``known`` ones name already.

    No finding where the run was not screened, or by another version.
    """
    if not run.exists(SCREENING):
        return []
    table = run.table(SCREENING)
    if not table.schema.equals(SCREENING_SCHEMA):
        return []
    rows = table.to_pylist()
    return [
        _finding(row, rows[number + 1 :], number)
        for number, row in enumerate(rows)
        if row["word"] == "shortcut"
        and row["same_as"] is None
        and not any(_names(finding, row) for finding in known)
    ]


def _finding(row: dict[str, Any], later: Sequence[dict[str, Any]], number: int) -> Finding:
    evidence = zip(row["carrier_rows"], row["carrier_gains"], strict=True)
    return Finding(
        kind=KIND,
        class_id=row["class"],
        class_name=row["class_name"],
        statistic=f"{row['part']}_transplanted",
        place=row["part"],
        value=row["pasted_rate"],
        control=row["others_rate"],
        effect=row["pasted_rate"] - row["others_rate"],
        q=row["q"],
        images=row["donors"],
        severity="high" if row["verdict"] == "used" else "medium",
        supporting=tuple(
            f"{other['part']}_transplanted" for other in later if other["same_as"] == number
        ),
        sentence=row["sentence"],
        evidence=tuple((int(place), float(gain)) for place, gain in evidence),
    )


def _names(finding: Finding, row: dict[str, Any]) -> bool:
    """Return whether a finding of the class names the place of a part, or a corner inside it."""
    if finding.class_id != row["class"] or finding.place is None:
        return False
    box = PARTS[row["part"]].box
    if box is None:  # edges, with their corners, or nowhere
        return PARTS[row["part"]].is_region
    if finding.place not in _CORNER_BOXES:
        return False
    top, left = _CORNER_BOXES[finding.place]
    return box[0] <= top < box[2] and box[1] <= left < box[3]


def add_screened(run: Run, with_verdicts: bool = True) -> pa.Table:
    """Bring the shortcuts of a screening among findings; return all findings.

    They follow those of the audit. If that changes them, proven leads and other verdicts are
    removed, because their findings had other numbers: ``confirm`` makes them again. With their
    verdicts, unless confirmations are to be made anew anyway.

    Raises
    ------
    RunIncomplete
        The run has no audit yet, or one of an earlier version.
    """
    before = audited(run)
    own = [finding for finding in before if finding.kind != KIND]
    findings = numbered([*own, *screened_findings(run, own)])
    verdicts = screened_verdicts(run, findings)
    if findings_table(findings).equals(findings_table(before)):
        kept = run.table(CONFIRMATIONS) if run.exists(CONFIRMATIONS) else None
        if kept is not None and kept.schema.equals(CONFIRMATIONS_SCHEMA):
            others = ~pc.field("finding").isin(verdicts["finding"].combine_chunks())
            kept = kept.filter(others | pc.field("finding").is_null())
            verdicts = pa.concat_tables([kept, verdicts])
    else:
        write_findings(run, findings)
        run.delete(CONFIRMATIONS)
    if verdicts.num_rows and with_verdicts:
        run.write(CONFIRMATIONS, parquet_bytes(verdicts))
    return run.findings()


def screening_sentence(parts: pa.Table, findings: pa.Table) -> str:
    """Return what a screening came to, of its table and the findings of its run."""
    shortcut = (pc.field("word") == "shortcut") & pc.field("same_as").is_null()
    shortcuts = parts.filter(shortcut).num_rows
    known = shortcuts - findings.filter(pc.field("kind") == KIND).num_rows
    named = f", of which the audit's own findings name {known:,}" if known else ""
    tested = counted(parts.num_rows, "part")
    return f"{tested} tested to the end; {counted(shortcuts, 'shortcut')}{named}"


def screened_verdicts(run: Run, findings: Sequence[Finding]) -> pa.Table:
    """Return the rows of confirmations of the findings that a screening has made."""
    rows = run.table(SCREENING).to_pylist() if run.exists(SCREENING) else []
    known = {(row["class"], row["part"]): row for row in rows}
    found = []
    for finding in findings:
        row = known.get((finding.class_id, finding.place))
        if finding.kind == KIND and row is not None:
            taken = {key: row[key] for key in CONFIRMATIONS_SCHEMA.names if key in row}
            cells = _cells(row["part"], run.spec.grid)
            found.append(taken | {"finding": finding.number, "place": row["part"], "cells": cells})
    return pa.Table.from_pylist(found, schema=CONFIRMATIONS_SCHEMA)


def _cells(key: str, grid: tuple[int, int]) -> int:
    """Return how many cells of the map a part covers; 0 of a property of the whole image."""
    part = PARTS[key]
    return int(part.mask(grid).sum()) if part.is_region else 0
