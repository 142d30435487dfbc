import io
import json
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.console.events import EventLog
from pipeline.errors import UnitFailed
from tests.engine.datasets import small_config


def test_a_run_is_reported_in_json_lines(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    (tmp_path / "images/class_0/0000.png").write_bytes(b"")
    (tmp_path / "images/notes.txt").touch()
    path = tmp_path / "config.yaml"
    content = {**config.model_dump(mode="json"), "limits": {"quarantine": 0.1}}
    path.write_text(yaml.safe_dump(content))
    result = CliRunner().invoke(app, ["flows", str(path), "--json"])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["started", *["unit"] * 5, "finished"]
    assert {line["run"] for line in lines} == {config.run}
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    assert times == sorted(times)
    assert all(time.utcoffset() is not None for time in times)
    assert (lines[0]["rows"], lines[0]["units_todo"]) == (40, 5)
    unused = [{"what": "files that are not images", "count": 1, "names": ["notes.txt"]}]
    assert lines[0]["leftovers"] == unused
    assert json.loads((tmp_path / "run/run.json").read_text())["leftovers"] == unused
    assert sum(line["ok"] for line in lines[1:-1]) == lines[-1]["ok"] == 39
    assert lines[-1]["reasons"] == {"empty": 1}


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (KeyboardInterrupt(), {"event": "stopped"}),
        (UnitFailed("unit 3 failed"), {"event": "failed", "error": "unit 3 failed"}),
    ],
)
def test_a_stopped_or_failed_run_is_reported(error: BaseException, fields: dict[str, str]) -> None:
    out = io.StringIO()
    with pytest.raises(type(error)), EventLog(out, "s3://bucket/run"):
        raise error
    (line,) = map(json.loads, out.getvalue().splitlines())
    assert fields.items() <= line.items()
