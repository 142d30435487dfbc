from pathlib import Path

import pytest

from pipeline.engine import run_flows
from tests.engine.datasets import small_config
from tests.jobs.shell import Done, flowatlas


def verify(*arguments: str) -> Done:
    return flowatlas("verify", *arguments)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = small_config(tmp_path)
    run_flows(config)
    return Path(config.run)


def test_an_intact_run_reports_what_was_checked(run: Path) -> None:
    assert "5 of 5 units present with the right sizes\n" in verify(str(run)).stdout
    assert "the right sizes and hashes" in verify(str(run), "--deep").stdout


def test_a_damaged_run_names_the_unit_and_what_to_do(run: Path) -> None:
    """A flipped byte keeps the size: only the hashes show it."""
    part = next((run / "summary").glob("*00003*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert verify(str(run)).returncode == 0
    found = verify(str(run), "--deep")
    assert found.returncode == 1
    assert "unit 3: " in found.stdout
    assert "1 of 5 units" in found.stderr
    assert "flowatlas flows CONFIG" in found.stderr
