import json

import pytest

from pipeline.audit.findings_table import CONFIRMATIONS, read_findings
from pipeline.report.json_data import CLASSES, CLASSES_TABLE, FINDINGS, FINDINGS_TABLE, write_data
from pipeline.report.pages.classes import ClassFacts

PATHS = (CLASSES, CLASSES_TABLE, FINDINGS, FINDINGS_TABLE)


def test_undefined_numbers_are_null_and_hostile_names_are_plain_text(run):
    name = "</script><b>\u2028\ud800"
    fact = ClassFacts(
        3,
        0,
        name,
        name,
        "",
        2,
        2.0,
        2.0,
        0,
        *[float("nan")] * 4,
        1.5,
        float("inf"),
        0.0,
        0.5,
        1.0,
        0,
    )
    before = {path: run.read(path) for path in PATHS}
    try:
        write_data(run, [fact], [], {})
        (record,) = json.loads(run.read(CLASSES))
        assert record["accuracy"] is None
        assert record["corner"] is None
        assert record["mass"] == pytest.approx(1.5)
        assert record["name"] == name
        assert json.loads(run.read(FINDINGS)) == []
        (row,) = run.table(CLASSES_TABLE).to_pylist()
        assert row["corner"] is None
        assert row["name"] == name.replace("\ud800", "?")
    finally:
        for path, content in before.items():
            run.write(path, content)


def test_findings_have_their_verdict_its_rates_and_its_intervals(run):
    records = json.loads(run.read(FINDINGS))
    assert [record["finding"] for record in records] == run.findings()["finding"].to_pylist()
    assert records[0]["verdict"] == "used"
    assert records[-1]["verdict"] == "placeless"
    (row,) = run.table(CONFIRMATIONS).to_pylist()
    assert records[0]["verdict_sentence"] == row["sentence"]
    pasted = {key: row[f"pasted_{key}"] for key in ("rate", "low", "high", "images")}
    assert records[0]["rates"]["pasted"] == pasted
    assert records[0]["rates"]["erased"]["rate"] is None
    assert records[0]["gains"]["paste"]["low"] == row["paste_gain_low"]


def test_tables_say_what_the_records_say(run):
    table = run.table(FINDINGS_TABLE)
    known = run.findings()
    assert table.select(known.column_names).to_pylist() == known.to_pylist()
    first, *rest = table.to_pylist()
    assert first["verdict"] == "used"
    assert first["pasted_rate"] == 0.75
    assert rest[-1]["pasted_rate"] is None
    assert run.table(CLASSES_TABLE).to_pylist() == json.loads(run.read(CLASSES))


def test_findings_keep_their_numbers(run):
    findings = read_findings(run)
    written = json.loads(run.read(FINDINGS))
    assert [entry["numbers"] for entry in written] == [dict(found.numbers) for found in findings]
