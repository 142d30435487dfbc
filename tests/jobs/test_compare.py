import json
import re
from pathlib import Path

import pytest

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.audit.compare.comparison import compare_path
from pipeline.steps import STEPS, refresh_report
from pipeline.store import Run, open_run
from tests.atlas.synthetic import synthetic_run
from tests.jobs.shell import Done, flowatlas


def compare(*arguments: str) -> Done:
    return flowatlas("compare", *arguments)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """A run, and one whose class 2 looks at the top left corner."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"images": 600, "classes": 4, "layers": 2, "variety": 0, "seed": 1}
    one = synthetic_run(folder / "one", **options)
    other = synthetic_run(folder / "other", **options, tag_class=2, tag_share=0.6)
    for run in (one, other):
        aggregate(run, workers=1)
    return one, other


def test_differences_and_the_path_of_the_table_are_printed(runs: tuple[Run, Run]) -> None:
    one, other = runs
    done = compare(one.uri, other.uri)
    assert done.returncode == 0, done.stdout
    table = one.table(compare_path(other))
    (headline,) = table.filter(table["headline"])["sentence"].to_pylist()
    assert f"- {headline}" in done.stdout.splitlines()
    assert f"1 class differs; all that was compared: {one.uri}/" in done.stdout
    assert f"to see it side by side: flowatlas report {one.uri}" in done.stdout


def test_a_report_is_written_again_and_its_page_is_named(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    one, other = runs
    audit(one)
    refresh_report(one)
    result = compare(one.uri, other.uri)
    (page,) = re.findall(r"open (\S+\.html)", result.stdout)
    assert page.startswith(f"{one.uri}/report/comparisons/")
    assert (
        f"<title>{Path(one.uri).name} and {Path(other.uri).name} compared" in Path(page).read_text()
    )
    assert json.loads(one.read(STEPS)).keys() == {"report"}


def test_the_gate_closes_on_a_drift_only(runs: tuple[Run, Run]) -> None:
    one, other = runs
    closed = compare(one.uri, other.uri, "--fail-on", "drift")
    assert closed.returncode == 1
    assert "“class 2”" in closed.stderr
    assert compare(one.uri, one.uri, "--fail-on", "drift").returncode == 0


def test_two_atlases_of_one_run(runs: tuple[Run, Run]) -> None:
    run = open_run(runs[0].uri)
    for name, where in (("sure", "confidence > 0.8"), ("unsure", "confidence <= 0.8")):
        aggregate(run, where=where, name=name, workers=1)
    options = ("--atlas", "sure", "--other-atlas", "unsure")
    done = compare(run.uri, *options)
    assert done.returncode == 0, done.stdout
    assert "all that was compared: " in done.stdout
