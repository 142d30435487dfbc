import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import RunConflict
from pipeline.store import RunLock, open_store


def test_one_driver_at_a_time(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    with (
        RunLock(store),
        pytest.raises(RunConflict, match=f"process {os.getpid()}"),
        RunLock(store),
    ):
        pass
    assert not (tmp_path / "lock.json").exists()
    with RunLock(store):
        assert (tmp_path / "lock.json").exists()


def test_the_lock_of_a_dead_process_is_taken_over_at_once(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pipeline.store import RunLock, open_store;"
        "RunLock(open_store(sys.argv[1])).__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert json.loads((tmp_path / "lock.json").read_text())["host"] == platform.node()
    with RunLock(open_store(str(tmp_path))):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(("age", "alive"), [(5, True), (120, False)])
def test_a_driver_on_another_host_is_judged_by_its_heartbeat(
    tmp_path: Path, age: int, alive: bool
) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "t"}))
    then = lock.stat().st_mtime - age
    os.utime(lock, (then, then))
    if alive:
        with pytest.raises(RunConflict, match="elsewhere"), RunLock(open_store(str(tmp_path))):
            pass
    else:
        with RunLock(open_store(str(tmp_path))):
            pass


def test_a_lock_lost_to_another_driver_is_left_to_it(tmp_path: Path) -> None:
    with RunLock(open_store(str(tmp_path))):
        (tmp_path / "lock.json").write_text(json.dumps({"token": "another"}))
    assert (tmp_path / "lock.json").exists()
