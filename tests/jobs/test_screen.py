from pathlib import Path

from pipeline.engine import run_flows
from tests.engine.datasets import small_config
from tests.jobs.shell import flowatlas


def test_a_run_without_an_audit_is_refused_before_anything_is_tried(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    run_flows(config)
    done = flowatlas("screen", config.run, "--local")
    assert done.returncode == 1
    assert "flowatlas audit" in done.stderr
    assert "Traceback" not in done.stderr
