import html
import re

import pyarrow as pa
import pytest

from pipeline.atlas import aggregate
from pipeline.audit.compare.comparison import compare
from pipeline.report.pages.comparison import read_comparisons
from pipeline.store.parquet import parquet_bytes
from tests.atlas.synthetic import synthetic_run

FILE = re.compile(r"audit/compare-[^/]+\.parquet")


@pytest.fixture(scope="module")
def comparison(run):
    (found,) = read_comparisons(run)
    return found


def test_a_comparison_is_what_the_audit_says(run, comparison):
    (path,) = [path for path in run.list("audit") if FILE.fullmatch(path)]
    said = [row for row in run.table(path).to_pylist() if row["sentence"]]
    headlines = [row for row in said if row["headline"]]
    assert headlines
    assert [found.row for found in comparison.differences] == headlines
    assert comparison.found == sum(row["class"] is not None for row in headlines)
    for found in comparison.differences:
        assert (
            ", ".join(found.supporting)
            == found.row["supporting"][: len(", ".join(found.supporting))]
        )
        assert found.supported >= len(found.supporting)
    assert {row["sentence"] for row in said} >= set(comparison.paired)
    assert len(comparison.paired) >= 3


def test_the_other_is_named_by_its_folder_and_its_settings_are_shown(comparison):
    assert comparison.sides == ("run", "b>")
    told = {row["setting"]: row for row in comparison.settings}
    assert told["Run"]["value"] != told["Run"]["other"]
    assert told["Dataset fingerprint"]["other"] == f"{5:032x}"
    assert "Model" not in told


def test_two_atlases_are_named(tmp_path):
    run = synthetic_run(tmp_path / "run", images=200, classes=4)
    for name in ("train", "val"):
        aggregate(run, where=f"row {'<' if name == 'train' else '>='} 100", name=name, workers=1)
    compare(run, run, "train", "val")
    (found,) = read_comparisons(run)
    assert found.sides == ("atlas train", "atlas val")
    assert found.images is None
    told = {row["setting"]: row for row in found.settings}
    assert told["Filter"]["other"] == "row >= 100"


def test_a_comparison_of_an_older_version_is_left_out(tmp_path):
    run = synthetic_run(tmp_path / "run", images=64)
    run.write("audit/compare-old.parquet", parquet_bytes(pa.table({"kind": ["drift"]})))
    assert read_comparisons(run) == ()


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
    for side in comparison.sides:
        assert html.escape(side) in page
    rows = len(comparison.differences) + len(comparison.settings)
    assert page.count("<tr>") == 2 + rows


def test_its_page_shows_the_images_that_differ_most_with_both_maps(report, run, comparison):
    shown = comparison.images
    assert len(shown.rows) == 12
    apart = [row["jsd"] for row in shown.rows]
    assert apart == sorted(apart, reverse=True)
    assert shown.film.rows * shown.film.columns == 2 * len(shown.rows)
    page = (report / "comparisons/1.html").read_text()
    for row in comparison.rows:
        assert f'href="../rows/{row}.html"' in page
        assert (report / f"rows/{row}.html").is_file()
    for side in comparison.sides:
        assert page.count(f"Its flow in {html.escape(side, quote=False)}") == len(shown.rows)
    assert (report / "assets/comparisons/1-images.webp").stat().st_size > 0


def test_its_page_shows_the_mean_flows_in_words_too(report, comparison):
    classes = [found.row["class"] for found in comparison.differences if found.row["class"]]
    assert len(comparison.flows.rows) == 1 + len(classes)
    page = (report / "comparisons/1.html").read_text()
    assert page.count('role="img" aria-label="The whole, ') == 3
    for name in ("flow", "change"):
        assert f"../assets/comparisons/1-{name}.webp" in page
        assert (report / f"assets/comparisons/1-{name}.webp").stat().st_size > 0
