import os
import signal
from pathlib import Path

import pytest
import typer
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from jobs.cli import app
from jobs.run import explain
from pipeline.console.step_progress import StepProgress
from pipeline.engine import run_flows
from pipeline.store import open_run
from tests.engine.datasets import small_config


def flowatlas(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", *arguments])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "shots"
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), (name == "ant" and "red") or "blue").save(
            folder / name / "1.png"
        )
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit.yaml", "--model", "vit"], "a configuration sets its own"),
        (["shots"], "neither a .yaml file nor a run; for images, add --model NAME"),
    ],
)
def test_images_and_configurations_are_not_mixed_up(arguments: list[str], message: str) -> None:
    result = flowatlas(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_images_get_a_configuration_that_can_be_edited(images: Path, tmp_path: Path) -> None:
    place = tmp_path / "runs" / "mine"
    result = flowatlas(str(images), "--model", "no_such_model", "--output", str(place))
    assert result.exit_code == 1  # the model is unknown, but the configuration is written
    written = yaml.safe_load(place.with_name("mine.yaml").read_text())
    assert written == {
        "run": str(place),
        "dataset": {"source": str(images)},
        "model": {"name": "no_such_model"},
        "flow": {"method": "auto"},
    }
    other = flowatlas(str(images), "--model", "another", "--output", str(place))
    assert "already exists with other settings" in str(other.exception)


def test_a_run_is_named_after_its_images_and_model(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flowatlas("shots/", "--model", "no_such_model")
    written = yaml.safe_load((tmp_path / "runs" / "shots-no_such_model.yaml").read_text())
    assert written["run"] == "shots-no_such_model"  # relative to the configuration
    assert written["dataset"]["source"] == str(images)


def test_a_signal_between_two_steps_stops_them_with_a_word_on_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(tmp_path)
    run_flows(config)

    def stop(outcome: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(StepProgress, "end", stop)
    with pytest.raises(typer.Exit):
        explain(config)
    assert "run the same command again to continue" in capsys.readouterr().out
    assert open_run(config.run).exists("atlas/atlas.json")  # the first step is kept
