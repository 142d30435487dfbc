import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pipeline.engine import run_flows
from tests.engine.datasets import small_config, write_images
from tests.engine.trees import tree


def write_config(folder: Path, run: str, engine: str) -> Path:
    cluster = {"engine": engine, "actors": 2, "cpus_per_actor": 1, "gpus_per_actor": 0}
    if engine == "local":
        cluster = {"engine": "local"}
    config = small_config(folder, run, cluster=cluster)
    path = folder / f"{run}.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return path


def start(config: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.flows", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A job in a shell's background ignores Ctrl-C and hands that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_killed_driver_resumes_where_it_was(tmp_path: Path, engine: str) -> None:
    write_images(tmp_path / "images", images=600)
    config = small_config(tmp_path, "undisturbed")
    run_flows(config)
    receipts = tmp_path / "killed/receipts"
    path = write_config(tmp_path, "killed", engine)
    driver = start(path)
    deadline = time.monotonic() + 120
    while not (receipts.is_dir() and len(list(receipts.glob("*.json"))) >= 5):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    time.sleep(2 if engine == "ray" else 0)  # what the driver leaves behind may still commit
    done = {receipt: receipt.stat().st_mtime_ns for receipt in receipts.glob("*.json")}
    assert 5 <= len(done) < 75
    again = start(path)
    output, _ = again.communicate(timeout=200)
    assert again.returncode == 0, output
    assert f"{8 * len(done)} done earlier" in output
    assert {receipt: receipt.stat().st_mtime_ns for receipt in done} == done
    assert tree(tmp_path / "killed") == tree(tmp_path / "undisturbed")


def test_an_interrupted_driver_reports_how_to_continue(tmp_path: Path) -> None:
    write_images(tmp_path / "images", images=600)
    driver = start(write_config(tmp_path, "stopped", "local"))
    deadline = time.monotonic() + 60
    while not list((tmp_path / "stopped/receipts").glob("*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(driver.pid, signal.SIGINT)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 1, output
    assert "run the same command again" in output
    assert not (tmp_path / "stopped/lock.json").exists()
