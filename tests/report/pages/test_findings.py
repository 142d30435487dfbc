from dataclasses import replace

import pytest

from pipeline.errors import RunIncomplete
from pipeline.report.pages.findings import read_findings
from tests.report.reported import HOSTILE, TAGGED, drawn_run


def test_findings_keep_sentence_numbers_and_the_strongest_evidence(run):
    found = read_findings(run, 3)
    told = run.findings().to_pylist()
    assert [finding.sentence for finding in found] == [entry["sentence"] for entry in told]
    first, entry = found[0], told[0]
    assert (first.class_id, first.class_name) == (TAGGED, HOSTILE)
    numbers = dict(first.numbers)
    assert numbers["value"] == entry["value"]
    assert numbers["images"] == entry["images"]
    assert "layer" not in numbers
    evidence = run.table("audit/evidence.parquet").to_pylist()
    rows = [item["row"] for item in evidence if item["finding"] == 0]
    assert list(first.evidence) == rows[:3]


def test_only_what_names_a_place_waits_for_a_test(run):
    first = read_findings(run, 3)[0]
    assert first.placed
    assert not replace(first, kind="fault", statistic="brightness").placed
    deep = replace(first, statistic="convergence_depth_level", supporting=())
    assert not deep.placed
    assert replace(deep, supporting=("mass_flow_tail", "border_flow_level")).placed


def test_a_run_without_an_audit_says_what_to_do(tmp_path):
    with pytest.raises(RunIncomplete, match="flowatlas audit"):
        read_findings(drawn_run(tmp_path / "run", images=64), 3)
