import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import jobs
from pipeline.engine import run_flows
from pipeline.store import open_run
from tests.engine.datasets import small_config
from tests.jobs.shell import flowatlas


def program(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments], capture_output=True, text=True, check=False
    )


def test_every_command_is_also_a_module() -> None:
    listed = re.findall(r"^  ([a-z]+) ", program("--help").stdout.partition("Commands:")[2], re.M)
    modules = {path.stem for path in Path(jobs.__file__).parent.glob("[a-z]*.py")} - {"cli"}
    assert len(listed) >= 12
    assert set(listed) == modules
    for name in listed:
        assert callable(getattr(importlib.import_module(f"jobs.{name}"), name))


@pytest.mark.parametrize(
    "arguments",
    [
        ["flows"],
        ["nonsense"],
        ["verify", "--no-such-option"],
        ["plan", "c.yaml", "--gpus", "1", "--actors", "1"],
        ["compare", "run"],
        ["compare", "run", "--fail-on", "shortcut"],
    ],
)
def test_wrong_usage_exits_with_two(arguments: list[str]) -> None:
    assert flowatlas(*arguments).returncode == 2


@pytest.mark.parametrize("command", ["aggregate", "audit", "report", "verify"])
def test_a_missing_run_is_one_line_and_exit_code_one(command: str, tmp_path: Path) -> None:
    run = program if command == "verify" else flowatlas
    result = run(command, str(tmp_path / "nowhere"))
    assert result.returncode == 1
    assert "there is no run at" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout


def test_errors_of_a_configuration_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("run: r\ndataset: {sourse: x}\nmodel: {name: m}\nflow: {batch_size: 0}\n")
    result = flowatlas("flows", str(path))
    assert result.returncode == 1
    for field in ("dataset.source", "dataset.sourse", "flow.batch_size"):
        assert field in result.stderr.replace("\n", "")
    assert not (tmp_path / "r").exists()


def test_a_run_from_plan_to_report(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    planned = flowatlas("plan", str(path), "--rate", "10", "--gpus", "4", "--price", "2")
    assert planned.returncode == 0, planned.stderr
    assert "5 of 8 rows" in planned.stdout
    assert "with 4 actors at 10 images/s each" in planned.stdout
    assert "forward passes for 3 classes" in planned.stdout
    assert "warning: 5 units keep 4 actors busy unevenly" in planned.stdout
    quick = flowatlas("plan", str(path))
    assert "images/s each" in quick.stdout
    assert "time: at the rate of one worker on this machine" in " ".join(
        quick.stderr.split() + quick.stdout.split()
    )
    assert not Path(config.run).exists()
    for command, argument in [
        ("flows", str(path)),
        ("aggregate", config.run),
        ("audit", config.run),
        ("report", config.run),
        ("verify", config.run),
    ]:
        run_in = program if command in ("flows", "report") else flowatlas
        result = run_in(command, argument)
        assert result.returncode == 0, result.stderr
    again = flowatlas("plan", str(path), "--like", config.run, "--json", "--memory", "64")
    content = json.loads(again.stdout)
    assert (content["rows"], content["units"], content["measured"]) == (40, 5, True)
    assert content["seconds"] > 0
    assert content["screening"]["classes"] == 3
    assert content["screening"]["seconds"] > 0
    refused = flowatlas("plan", str(path), "--like", config.run, "--memory", "0.01")
    assert refused.returncode == 1
    assert "has only 0.0 GiB" in refused.stderr
    run = open_run(config.run)
    assert run.finished
    assert run.atlas("label").count.tolist() == [14, 13, 13]
    assert (Path(config.run) / "report/index.html").stat().st_size > 1000


def test_a_step_out_of_turn_says_what_comes_first(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    run_flows(config)
    for command in ("audit", "report"):
        result = flowatlas(command, config.run)
        assert result.returncode == 1
        assert "flowatlas" in result.stderr
        assert "Traceback" not in result.stderr


def test_help_and_wrong_usage_do_not_wait_for_models_or_clusters() -> None:
    code = "import sys, jobs.cli; print({'torch', 'timm', 'ray', 'dask'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
