"""The report's numbers beside its pages, for programs: JSON, one record per class or finding."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.report.contents import ClassFacts
from pipeline.report.findings import Finding
from pipeline.store import Run

CLASSES = "report/data/classes.json"
FINDINGS = "report/data/findings.json"


def write_data(run: Run, classes: Sequence[ClassFacts], findings: Sequence[Finding]) -> None:
    """Write what the tables of the report show; undefined numbers are null."""
    run.write(CLASSES, _json([asdict(fact) for fact in classes]))
    run.write(FINDINGS, _json([_record(finding) for finding in findings]))


def _record(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"numbers": dict(finding.numbers)}


def _json(records: list[dict[str, Any]]) -> bytes:
    text = json.dumps([_plain(record) for record in records], ensure_ascii=True, indent=1)
    return text.encode("ascii")


def _plain(value: Any) -> Any:
    """JSON knows no NaN: what is undefined becomes null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
