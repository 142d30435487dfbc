import json

import pytest

from pipeline.report.contents import ClassFacts
from pipeline.report.data import CLASSES, FINDINGS, write_data
from pipeline.report.findings import read_findings


def test_undefined_numbers_are_null_and_hostile_names_are_plain_text(run):
    name = "</script><b>\u2028\ud800"
    fact = ClassFacts(3, 0, name, 2, 0, *[float("nan")] * 4, 1.5, float("inf"), 0.0, 0.5, 1.0, 0)
    before = run.read(CLASSES), run.read(FINDINGS)
    try:
        write_data(run, [fact], [])
        (record,) = json.loads(run.read(CLASSES))
        assert record["accuracy"] is None
        assert record["corner"] is None
        assert record["mass"] == pytest.approx(1.5)
        assert record["name"] == name
        assert json.loads(run.read(FINDINGS)) == []
    finally:
        run.write(CLASSES, before[0])
        run.write(FINDINGS, before[1])


def test_findings_keep_their_numbers(run):
    findings = read_findings(run, 24)
    written = json.loads(run.read(FINDINGS))
    assert [entry["numbers"] for entry in written] == [dict(found.numbers) for found in findings]
