import subprocess
import sys
from pathlib import Path

from tests.engine.datasets import small_config


def test_a_run_without_an_audit_is_refused_before_anything_is_tried(tmp_path: Path) -> None:
    from pipeline.engine import run_flows

    config = small_config(tmp_path)
    run_flows(config)
    done = subprocess.run(
        [sys.executable, "-m", "jobs.screen", config.run, "--local"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "flowatlas audit" in done.stderr
    assert "Traceback" not in done.stderr
