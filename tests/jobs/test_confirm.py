from pathlib import Path

import pytest

from pipeline.atlas import aggregate
from pipeline.audit.causal.confirmations_table import CONFIRMATIONS_SCHEMA
from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import CONFIRMATIONS, numbered, write_findings
from pipeline.engine import run_flows
from pipeline.store import Run, open_run
from tests.engine.datasets import small_config
from tests.jobs.shell import Done, flowatlas


def confirm(*arguments: str) -> Done:
    return flowatlas("confirm", *arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(tmp_path_factory.mktemp("run"))
    run_flows(config)
    run = open_run(config.run)
    aggregate(run, workers=1)
    return run


def accuse(run: Run, *places: str | None) -> None:
    findings = [
        Finding("shortcut", 1, "x", 3.0, 13, "high", "It looks there.", place=place)
        for place in places
    ]
    write_findings(run, numbered(findings))


@pytest.mark.parametrize("engine", [["--local"], ["--actors", "1"]])
def test_every_verdict_is_printed(run: Run, engine: list[str]) -> None:
    accuse(run, "tl", "border")
    done = confirm(run.uri, *engine)
    assert done.returncode == 0, done.stderr
    verdicts = run.table(CONFIRMATIONS)
    assert verdicts.schema.equals(CONFIRMATIONS_SCHEMA)
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("- ")) == sorted(
        f"- {sentence}" for sentence in verdicts["sentence"].to_pylist()
    )
    assert verdicts["place"].to_pylist() == ["tl", "border"]


def test_without_a_place_there_is_nothing_to_test(run: Run) -> None:
    accuse(run, None)
    done = confirm(run.uri, "--local")
    assert done.returncode == 0, done.stderr
    assert "nothing to test" in done.stdout


def test_a_run_without_an_audit_is_refused(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    run_flows(config)
    done = confirm(config.run, "--local")
    assert done.returncode == 1
    assert "flowatlas" in done.stderr
    assert "Traceback" not in done.stderr
