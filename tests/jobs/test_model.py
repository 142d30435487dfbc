from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from jobs.cli import app
from pipeline.engine import run_flows
from pipeline.store import open_run
from tests.engine.datasets import small_config


def test_a_table_by_layer_is_printed_and_every_class_written(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(small_config(tmp_path).model_dump(mode="json")))
    result = CliRunner().invoke(app, ["model", str(path)])
    assert result.exit_code == 0, result.output
    table = pq.read_table(tmp_path / "run.memories.parquet")
    assert len(table) == 3 * 3
    assert {*table["layer"].to_pylist()} == {"blocks.0", "blocks.1", "blocks.2"}
    for layer in ("blocks.0", "blocks.1", "blocks.2"):
        own = [row for row in table.to_pylist() if row["layer"] == layer]
        share = sum(row["matched"] for row in own) / 3
        line = next(line for line in result.output.splitlines() if line.startswith(layer))
        assert f"{share:.1%}" in line
    assert "identifiability" not in result.output


def test_a_run_of_projection_adds_how_well_the_class_is_read_by_layer(tmp_path: Path) -> None:
    config = small_config(tmp_path, flow={"method": "projection"})
    run_flows(config)
    run = open_run(config.run)
    result = CliRunner().invoke(app, ["model", config.run])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run.memories.parquet").exists()
    lines = result.output.splitlines()
    table = lines[next(n for n, line in enumerate(lines) if "identifiability" in line) + 1 :]
    summary = run.summary().to_table()
    for number, layer in enumerate(run.spec.layers):
        name, read, patches = table[number].split()
        assert name == layer
        for shown, column in ((read, "readout_rank"), (patches, "patch_rank")):
            values = summary[f"{column}_l{number:02d}"].to_numpy()
            assert float(shown) == pytest.approx(float(np.nanmean(values)), abs=5e-4)
