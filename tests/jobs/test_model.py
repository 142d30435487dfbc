from pathlib import Path

import pyarrow.parquet as pq
import yaml
from typer.testing import CliRunner

from jobs.cli import app
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
