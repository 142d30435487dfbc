"""What a failure leaves: a report, a traceback in the run, and the same bytes."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.engine import Failure, run_flows
from pipeline.errors import UnitFailed
from pipeline.store import open_run, verify
from tests.chaos.trouble import StoreFailed, StoreTrouble
from tests.engine.datasets import small_config
from tests.engine.trees import tree

SECRET = "wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY"


def failing_summaries(times: int) -> StoreTrouble:
    """Let the first writes of unit 1's summary fail, with a message that holds a secret."""
    left = times

    def happen(trouble: StoreTrouble, name: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if name == "put" and str(arguments[1]).endswith("summary/00000001.parquet") and left:
            left -= 1
            raise StoreFailed(f"503: https://user:pw@host/key?X-Amz-Signature=abc and {SECRET}")

    return StoreTrouble(happen)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.mark.usefixtures("secret")
def test_a_failed_attempt_is_reported_and_its_traceback_kept(tmp_path: Path) -> None:
    run_flows(small_config(tmp_path, "undisturbed"))
    config = small_config(tmp_path)
    failures: list[Failure] = []
    with failing_summaries(2):
        totals = run_flows(config, on_failure=failures.append)
    assert totals.ok == 40
    assert [(one.kind, one.attempt) for one in failures] == [("retry", 1), ("retry", 2)]
    for failure in failures:
        assert failure.log is not None
        text = (tmp_path / "run" / failure.log).read_text()
        assert "Traceback (most recent call last)" in text
        assert "in commit_unit" in text
        for hidden in (SECRET, "pw@", "X-Amz-Signature"):
            assert hidden not in text
    kept = {path.name for path in (tmp_path / "run/logs").iterdir()}
    assert len(kept) == 2
    assert tree(config.run) == tree(tmp_path / "undisturbed")
    run = open_run(config.run)
    assert verify(run.store, run.spec, deep=True).done == 5
    again: list[object] = []
    run_flows(config, on_receipt=again.append)
    assert not again, "nothing is computed again because of what is in logs"
    assert {path.name for path in (tmp_path / "run/logs").iterdir()} == kept


def test_the_last_attempt_is_kept_too(tmp_path: Path) -> None:
    config = small_config(tmp_path, limits={"attempts": 2})
    failures: list[Failure] = []
    with failing_summaries(9), pytest.raises(UnitFailed, match="failed 2 times"):
        run_flows(config, on_failure=failures.append)
    assert [failure.kind for failure in failures] == ["retry", "gave_up"]
    assert len(list((tmp_path / "run/logs").iterdir())) == 2


def test_commands_report_it_in_a_line_and_in_json(tmp_path: Path) -> None:
    lines, events = [], []
    for run, options in (("lines", ()), ("events", ("--json",))):
        path = tmp_path / f"{run}.yaml"
        content = small_config(tmp_path, run).model_dump(mode="json")
        path.write_text(yaml.safe_dump(content))
        with failing_summaries(1):
            result = CliRunner().invoke(app, ["flows", str(path), *options])
        assert result.exit_code == 0, result.output
        (lines if run == "lines" else events).extend(result.stdout.splitlines())
    (line,) = [line for line in lines if "tried again" in line]
    assert line.startswith("unit 1 (rows 8 to 15): attempt 1 failed, tried again: StoreFailed: 503")
    assert "X-Amz-Signature" not in line
    (event,) = [one for one in map(json.loads, events) if one["event"] == "retry"]
    assert (event["units"], event["attempt"]) == ([1], 1)
    assert "X-Amz-Signature" not in event["error"]
    assert (tmp_path / "events" / event["log"]).is_file()
