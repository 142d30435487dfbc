"""The report's numbers for programs: one record per class or finding."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import CONFIRMATIONS
from pipeline.report.pages.classes import ClassFacts
from pipeline.report.pages.verdicts import Verdict, state_of
from pipeline.store import Run
from pipeline.store.parquet import parquet_bytes

FOLDER = "report/data"
CLASSES = f"{FOLDER}/classes.json"
FINDINGS = f"{FOLDER}/findings.json"
CLASSES_TABLE = f"{FOLDER}/classes.parquet"
FINDINGS_TABLE = f"{FOLDER}/findings.parquet"

_TEXTS = (
    "kind",
    "severity",
    "class_id",
    "class_name",
    "statistic",
    "columns",
    "place",
    "supporting",
    "sentence",
)
_ARROW = {int: pa.int64(), float: pa.float64(), str: pa.string()}


def write_data(
    run: Run,
    classes: Sequence[ClassFacts],
    findings: Sequence[Finding],
    verdicts: Mapping[int, Verdict],
    rate: str = "accuracy",
) -> None:
    """Write what the tables of the report show, as JSON and as Parquet.

    ``rate`` is what the share of right answers is called.

    Undefined numbers are null. ``classes`` are in the order of risk, ``findings`` in that of the
    audit, each with its ``verdict`` (a key of :data:`pipeline.report.pages.verdicts.STATES`).
    """
    named = [{_named(name, rate): v for name, v in asdict(fact).items()} for fact in classes]
    run.write(CLASSES, _json(named))
    run.write(FINDINGS, _json([_record(found, verdicts.get(found.number)) for found in findings]))
    run.write(CLASSES_TABLE, parquet_bytes(_classes_table(classes, rate)))
    run.write(FINDINGS_TABLE, parquet_bytes(_findings_table(run, findings, verdicts)))


def _record(finding: Finding, verdict: Verdict | None) -> dict[str, Any]:
    record = {
        "finding": finding.number,
        **{name: getattr(finding, name) for name in _TEXTS},
        "numbers": dict(finding.numbers),
        "evidence": finding.rows,
        "verdict": state_of(finding, verdict),
    }
    if verdict is None:
        return record
    rates = {
        bar.key: {"rate": bar.share, "low": bar.low, "high": bar.high, "images": bar.images}
        for bar in verdict.bars
    }
    gains = {test: {"low": low, "high": high} for test, low, high in verdict.gain}
    return record | {"verdict_sentence": verdict.sentence, "rates": rates, "gains": gains}


def _classes_table(classes: Sequence[ClassFacts], rate: str) -> pa.Table:
    columns = {
        _named(field.name, rate): pa.array(
            [_plain(_text(getattr(fact, field.name))) for fact in classes],
            _ARROW[field.type],  # type: ignore[index]
        )
        for field in fields(ClassFacts)
    }
    return pa.table(columns)


def _named(field: str, rate: str) -> str:
    return field.replace("accuracy", rate, 1) if field.startswith("accuracy") else field


def _findings_table(
    run: Run, findings: Sequence[Finding], verdicts: Mapping[int, Verdict]
) -> pa.Table:
    """Return the audit's findings with their verdicts and, where tested, all of their rates."""
    states = {found.number: state_of(found, verdicts.get(found.number)) for found in findings}
    table = run.findings()
    words = [states.get(number) for number in table["finding"].to_pylist()]
    table = table.append_column("verdict", pa.array(words, pa.string()))
    if not run.exists(CONFIRMATIONS):
        return table
    tested = run.table(CONFIRMATIONS)
    tested = tested.take(pc.index_in(table["finding"], tested["finding"]))
    for name in tested.column_names:
        if name == "sentence":
            table = table.append_column("verdict_sentence", tested[name])
        elif name not in table.column_names:
            table = table.append_column(name, tested[name])
    return table


def _json(records: list[dict[str, Any]]) -> bytes:
    text = json.dumps([_plain(record) for record in records], ensure_ascii=True, indent=1)
    return text.encode("ascii")


def _text(value: Any) -> Any:
    """Replace what has no encoding by question marks."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: there is no NaN, what is undefined becomes null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
