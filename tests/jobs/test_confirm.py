import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.atlas import aggregate
from pipeline.audit.causal.confirm import CONFIRMATIONS_SCHEMA
from pipeline.audit.finding import CONFIRMATIONS, Entry, findings_table
from pipeline.engine import run_flows
from pipeline.store import Run, open_run
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import FINDINGS
from tests.engine.datasets import small_config


def confirm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "jobs.confirm", *arguments], capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = small_config(tmp_path_factory.mktemp("run"))
    run_flows(config)
    run = open_run(config.run)
    aggregate(run, workers=1)
    return run


def accuse(run: Run, *statistics: str) -> None:
    entries = [
        Entry("shortcut", 1, name, 3.0, 13, "high", "It looks there.") for name in statistics
    ]
    run.write(FINDINGS, parquet_bytes(findings_table(entries, run.spec.classes)))


@pytest.mark.parametrize("engine", [["--local"], ["--actors", "1"]])
def test_every_verdict_is_told(run: Run, engine: list[str]) -> None:
    accuse(run, "corner_tl_flow_level", "border_flow_level")
    done = confirm(run.uri, *engine)
    assert done.returncode == 0, done.stderr
    verdicts = run.table(CONFIRMATIONS)
    assert verdicts.schema.equals(CONFIRMATIONS_SCHEMA)
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("- ")) == sorted(
        f"- {sentence}" for sentence in verdicts["sentence"].to_pylist()
    )
    assert verdicts["place"].to_pylist() == ["tl", "border"]


def test_where_nothing_has_a_place_that_is_said(run: Run) -> None:
    accuse(run, "mass_confident_level")
    done = confirm(run.uri, "--local")
    assert done.returncode == 0, done.stderr
    assert "nothing to test" in done.stdout


def test_what_was_not_audited_is_not_confirmed(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    run_flows(config)
    done = confirm(config.run, "--local")
    assert done.returncode == 1
    assert "flowatlas" in done.stderr
    assert "Traceback" not in done.stderr
