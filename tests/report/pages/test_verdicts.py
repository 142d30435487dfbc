from dataclasses import replace

from pipeline.audit.findings_table import CONFIRMATIONS, read_findings
from pipeline.report.pages.verdicts import LEAD_RULE, RULE, STATES, read_verdicts, state_of
from tests.report.reported import drawn_run


def test_a_tested_finding_has_its_verdict_and_a_bar_for_every_rate(run):
    (verdict,) = read_verdicts(run).values()
    assert verdict.word == "used"
    assert [bar.images for bar in verdict.bars] == [40, 40, 40, 0, 20]
    assert [bar.share for bar in verdict.bars] == [0.75, 0.025, 0.05, None, 0.05]
    for bar in verdict.bars:
        assert 0 <= bar.low <= (bar.share if bar.share is not None else bar.high) <= bar.high <= 1


def test_without_a_test_there_is_no_verdict(tmp_path):
    assert read_verdicts(drawn_run(tmp_path / "run", images=16)) == {}


def test_gains_are_those_of_the_row(run):
    (verdict,) = read_verdicts(run).values()
    (row,) = run.table(CONFIRMATIONS).to_pylist()
    for test in ("paste", "erase"):
        for end in ("low", "high"):
            assert f"{abs(100 * row[f'{test}_gain_{end}']):.1f}" in verdict.gains


def test_a_finding_without_a_verdict_is_untested_or_names_no_place(run):
    first = read_findings(run)[0]
    assert state_of(first, read_verdicts(run)[0]) == "used"
    assert state_of(first, None) == "untested"
    assert state_of(replace(first, place=None), None) == "placeless"
    assert {"used", "untested", "placeless"} < STATES.keys()


def test_the_rule_stands_beside_the_verdict(report):
    page = (report / "findings/0.html").read_text()
    for name, words in RULE:
        assert f"<dt>{name}</dt><dd>{words}</dd>" in page
    assert "10 points" in page
    assert "One of the two tests suffices" in page
    assert LEAD_RULE not in page, "of a lead only"


def test_the_pages_tell_the_verdict(run, report):
    page = (report / "findings/0.html").read_text()
    assert 'class="verdict used"' in page
    assert 'class="verdict seen"' not in page
    assert "75 %" in page
    assert 'class="verdict used"' in (report / "index.html").read_text()
