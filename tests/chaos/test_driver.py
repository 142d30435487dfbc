"""What may happen to a driver."""

import signal
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.engine import run_flows
from tests.engine.datasets import small_config, write_images
from tests.engine.trees import tree
from tests.jobs.test_flows import start, wait_for_receipts, write_config
from tests.waiting import TIMEOUT, until_ended


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_sigterm_ends_a_driver_in_good_order(tmp_path: Path, engine: str) -> None:
    write_images(tmp_path / "images", images=600)
    config = write_config(tmp_path, "run", engine)
    driver = start(config)
    wait_for_receipts(tmp_path / "run", 3)
    driver.send_signal(signal.SIGTERM)
    output, _ = driver.communicate(timeout=TIMEOUT)
    assert driver.returncode == 1, output
    assert "stopped; what is done is kept: run the same command again" in output
    assert "images/s" in output
    assert "-bound: " in output
    assert not (tmp_path / "run/lock.json").exists()
    done = len(list((tmp_path / "run/receipts").glob("*.json")))
    assert 3 <= done < 75, "it did not go on to the end"
    if engine == "local":
        output, _ = start(config).communicate(timeout=TIMEOUT)
        assert f"{8 * done:,} done earlier" in output
        run_flows(small_config(tmp_path, "undisturbed"))
        assert tree(tmp_path / "run") == tree(tmp_path / "undisturbed")


@pytest.mark.slow
def test_sigterm_ends_the_readers_with_their_driver(tmp_path: Path) -> None:
    write_images(tmp_path / "images", images=400)
    cluster = {"engine": "local", "readers": "processes", "cpus_per_actor": 2}
    config = small_config(tmp_path, cluster=cluster)
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    driver = start(path)
    wait_for_receipts(tmp_path / "run", 3)
    readers = [
        process
        for process in psutil.Process(driver.pid).children(recursive=True)
        if "pipeline.engine.reading.child" in process.cmdline()
    ]
    assert len(readers) == 3, "two and the process that forks them"
    driver.send_signal(signal.SIGTERM)
    output, _ = driver.communicate(timeout=TIMEOUT)
    assert driver.returncode == 1, output
    assert "stopped; what is done is kept: run the same command again" in output
    assert "died" not in output, "the readers ended because they were to"
    until_ended(readers)
    assert not (tmp_path / "run/lock.json").exists()
    done = len(list((tmp_path / "run/receipts").glob("*.json")))
    assert 3 <= done < 50
    computed: list[object] = []
    run_flows(config, on_receipt=computed.append)
    assert len(computed) == 50 - done
    run_flows(small_config(tmp_path, "undisturbed"))
    assert tree(tmp_path / "run") == tree(tmp_path / "undisturbed")


@pytest.mark.slow
def test_of_two_drivers_at_once_one_computes(tmp_path: Path) -> None:
    write_images(tmp_path / "images", images=1200)
    drivers = [start(write_config(tmp_path, "run", "local")) for _ in range(2)]
    told = [driver.communicate(timeout=TIMEOUT)[0] for driver in drivers]
    assert sorted(driver.returncode for driver in drivers) == [0, 1], told
    (refused,) = [text for driver, text in zip(drivers, told, strict=True) if driver.returncode]
    assert "another driver holds this run" in refused
    run_flows(small_config(tmp_path, "undisturbed"))
    assert tree(tmp_path / "run") == tree(tmp_path / "undisturbed")
