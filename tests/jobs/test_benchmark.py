import json
from pathlib import Path

import yaml
from typer.testing import CliRunner

from jobs.cli import app
from tests.engine.datasets import small_config


def test_a_benchmark_is_stored_beside_its_configuration_and_used_by_plan(tmp_path: Path) -> None:
    path = tmp_path / "audit.yaml"
    path.write_text(yaml.safe_dump(small_config(tmp_path).model_dump(mode="json")))
    shell = CliRunner()
    shown = shell.invoke(app, ["benchmark", str(path), "--seconds", "1"])
    assert shown.exit_code == 0, shown.output
    for part in ("fetch", "forward+backward", "share of matmul", "memory of an actor"):
        assert part in shown.output
    snippet = shown.stdout.partition("recommended:\n")[2].partition("\n\n")[0]
    assert yaml.safe_load(snippet)["cluster"]["engine"] == "local"
    stored = json.loads((tmp_path / "audit.benchmark.json").read_text())
    rate = stored["together"][0]["measured"]["images_per_second"]

    planned = json.loads(shell.invoke(app, ["plan", str(path), "--json"]).stdout)
    assert planned["images_per_second"] == rate
    assert planned["time"].startswith("from audit.benchmark.json of ")
    assert planned["measured"]

    path.write_text(path.read_text().replace("batch_size: 4", "batch_size: 2"))
    other = json.loads(shell.invoke(app, ["plan", str(path), "--json"]).stdout)
    assert "audit.benchmark.json is of other settings" in other["time"]
    assert not (tmp_path / "run").exists()
