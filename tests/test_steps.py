"""Every step is done once, and again only if what it reads has changed."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.engine import LocalEngine
from pipeline.errors import RunIncomplete
from pipeline.steps import AFTER_FLOWS, STEPS, explain_run
from pipeline.store import Run
from tests.audit.trained import trained_run

NAMES = [step.name for step in AFTER_FLOWS]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained_run(tmp_path_factory.mktemp("steps"))


def engine() -> "nullcontext[LocalEngine]":
    return nullcontext(LocalEngine())


def done(run: Run) -> list[str]:
    """Return the steps that had to be done."""
    return [outcome.step for outcome in explain_run(run, engine) if not outcome.skipped]


def test_each_step_is_done_once_reports_its_work_and_the_report_exists(run: Run) -> None:
    shown: dict[str, list[tuple[int, int]]] = {name: [] for name in NAMES}

    def show(step: str, done: int, total: int) -> None:
        shown[step].append((done, total))

    assert [outcome.step for outcome in explain_run(run, engine, show)] == NAMES
    for name, (begun, *counts) in shown.items():
        assert begun == (0, 0), name
        amounts = [amount for amount, _ in counts]
        assert amounts == sorted({*amounts}), f"{name} counts anew"
        assert counts[-1][0] == counts[-1][1], f"{name} ends before all is done"
        totals = [total for _, total in counts]
        if name != "report":  # what it draws is known only when the run has been read
            assert totals == sorted(totals, reverse=True), f"{name} takes longer than planned"
    assert (Path(run.uri) / "report" / "index.html").is_file()
    assert done(run) == []


def test_a_step_whose_output_is_gone_is_done_again_with_what_depends_on_it(run: Run) -> None:
    done(run)
    run.delete("audit/findings.parquet")
    again = done(run)
    assert again[0] == "audit"
    assert "aggregate" not in again
    assert run.findings().num_rows > 0
    assert done(run) == []


def test_the_report_follows_what_another_command_adds_to_the_audit(run: Run) -> None:
    done(run)
    run.write("audit/compare-other.txt", b"changed")
    assert done(run) == ["report"]
    run.delete("audit/compare-other.txt")
    assert done(run) == ["report"]


def test_a_damaged_record_costs_steps_and_what_commands_of_their_own_did_is_done(run: Run) -> None:
    done(run)
    run.write(STEPS, b"[]")
    first = next(explain_run(run, engine))
    assert (first.step, first.skipped) == (NAMES[0], False)
    for name in NAMES[1:]:
        if name != "baselines":  # audit's own
            local = ["--local"] if name in ("screen", "confirm") else []
            result = CliRunner().invoke(app, [name, run.uri, *local])
            assert result.exit_code == 0, result.output
    assert set(json.loads(run.read(STEPS))) == set(NAMES)
    assert done(run) == []


def test_an_atlas_of_other_images_is_not_the_step(run: Run) -> None:
    done(run)
    kept = run.read(STEPS)
    run.delete(STEPS)
    options = ["--where", "correct", "--name", "correct"]
    result = CliRunner().invoke(app, ["aggregate", run.uri, *options])
    assert result.exit_code == 0, result.output
    assert not run.exists(STEPS)
    run.write(STEPS, kept)


def test_an_unfinished_run_is_refused(run: Run) -> None:
    kept = run.read("_SUCCESS")
    run.delete("_SUCCESS")
    with pytest.raises(RunIncomplete, match="is not finished"):
        next(explain_run(run, engine))
    run.write("_SUCCESS", kept)
