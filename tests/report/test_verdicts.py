from pipeline.report.verdicts import read_verdicts
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


def test_the_pages_tell_the_verdict(run, report):
    page = (report / "findings/1.html").read_text()
    assert "seen but not used" not in page
    assert "75.0 %" in page
    assert 'class="verdict used"' in (report / "index.html").read_text()
