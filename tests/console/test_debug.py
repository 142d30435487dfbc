import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.console.debug import debug
from tests.engine.datasets import small_config


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    debug.set(False)


def test_every_command_has_it() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        result = CliRunner().invoke(app, [command.callback.__name__, "--help"])
        assert "--debug" in result.output, command.callback.__name__


def test_an_error_comes_with_its_traceback_and_the_same_exit_code(tmp_path: Path) -> None:
    for module, where in (("jobs.cli", ["verify"]), ("jobs.verify", [])):
        command = [sys.executable, "-m", module, *where, str(tmp_path / "nowhere")]
        plain = subprocess.run(command, capture_output=True, text=True)
        full = subprocess.run([*command, "--debug"], capture_output=True, text=True)
        assert plain.returncode == full.returncode == 1
        assert "Traceback" not in plain.stderr
        assert "Traceback (most recent call last)" in full.stderr
        assert "there is no run at" in full.stderr


def test_decisions_are_logged_to_standard_error_only(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(small_config(tmp_path).model_dump(mode="json")))
    quiet = CliRunner().invoke(app, ["flows", str(path)])
    again = CliRunner().invoke(app, ["flows", str(path), "--debug"])
    assert (quiet.exit_code, again.exit_code) == (0, 0), quiet.output + again.output
    assert quiet.stderr == ""
    assert "pipeline.engine.run: 5 of 5 units are done" in again.stderr
    assert "units are done" not in again.stdout


def test_warnings_are_shown_and_urls_lose_their_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    debug.set(False)
    logger = logging.getLogger("pipeline.store.lock")
    logger.info("a decision")
    logger.warning("lost %s", "https://me:pw@host/x?token=abc")
    assert capsys.readouterr().err == "warning: lost https://…host/x\n"
