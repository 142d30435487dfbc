import pytest

from pipeline.report.comparison import read_comparisons


@pytest.fixture(scope="module")
def comparison(run):
    (found,) = read_comparisons(run)
    return found


def test_a_comparison_is_what_the_audit_says(run, comparison):
    (path,) = [path for path in run.list("audit") if "compare-" in path]
    said = [row for row in run.table(path).to_pylist() if row["sentence"]]
    assert comparison.found == sum(row["kind"] == "drift" for row in said)
    sentences = {row["sentence"] for row in said}
    assert sentences >= {row["sentence"] for row in comparison.differences}
    assert sentences >= set(comparison.paired)
    assert len(comparison.paired) >= 3


def test_both_runs_are_drawn_over_depth(comparison):
    assert {chart.title for chart in comparison.charts} >= {"Entropy", "Share of mass"}
    for chart in comparison.charts:
        assert chart.line
        assert chart.reference
        assert chart.line != chart.reference


def test_its_page_is_linked_and_tells_the_differences(report, comparison):
    assert 'href="comparisons/1.html"' in (report / "index.html").read_text()
    page = (report / "comparisons/1.html").read_text()
    assert "<b>other</b>" not in page
    assert page.count("<tr>") == 1 + len(comparison.differences)
