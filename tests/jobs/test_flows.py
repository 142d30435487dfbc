import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.engine import run_flows
from tests.engine.datasets import small_config, write_images
from tests.engine.trees import tree
from tests.waiting import TIMEOUT, until, until_ended


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


def wait_for_receipts(run: Path, number: int) -> None:
    until(lambda: len(list(run.glob("receipts/*.json"))) >= number)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_killed_driver_resumes_where_it_was(tmp_path: Path, engine: str) -> None:
    write_images(tmp_path / "images", images=600)
    config = small_config(tmp_path, "undisturbed")
    run_flows(config)
    receipts = tmp_path / "killed/receipts"
    path = write_config(tmp_path, "killed", engine)
    driver = start(path)
    wait_for_receipts(tmp_path / "killed", 5)
    workers = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    until_ended(workers)  # what the driver leaves behind may still commit
    done = {receipt: receipt.stat().st_mtime_ns for receipt in receipts.glob("*.json")}
    assert 5 <= len(done) < 75
    again = start(path)
    output, _ = again.communicate(timeout=TIMEOUT)
    assert again.returncode == 0, output
    assert f"{8 * len(done)} done earlier" in output
    assert {receipt: receipt.stat().st_mtime_ns for receipt in done} == done
    assert tree(tmp_path / "killed") == tree(tmp_path / "undisturbed")


def test_an_interrupted_driver_reports_how_to_continue(tmp_path: Path) -> None:
    write_images(tmp_path / "images", images=600)
    driver = start(write_config(tmp_path, "stopped", "local"))
    wait_for_receipts(tmp_path / "stopped", 1)
    os.kill(driver.pid, signal.SIGINT)
    output, _ = driver.communicate(timeout=TIMEOUT)
    assert driver.returncode == 1, output
    assert "run the same command again" in output
    assert not (tmp_path / "stopped/lock.json").exists()
