import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import RunConflict
from pipeline.store import RunLock, open_store
from tests.chaos.trouble import failing_at_random


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


def test_a_dead_process_that_nobody_waited_for_is_dead(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pipeline.store import RunLock, open_store;"
        "RunLock(open_store(sys.argv[1])).__enter__(); print('locked'); os._exit(9)"
    )
    command = [sys.executable, "-u", "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as zombie:
        assert zombie.stdout is not None
        assert zombie.stdout.read() == b"locked\n"
        time.sleep(0.2)
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


def test_a_driver_that_slept_learns_that_it_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.lock._BEAT_SECONDS", 0.05)
    with RunLock(open_store(str(tmp_path))) as lock:
        time.sleep(0.2)
        lock.check()
        (tmp_path / "lock.json").write_text(json.dumps({"token": "another"}))
        time.sleep(0.3)
        with pytest.raises(RunConflict, match="taken this run over"):
            lock.check()
        assert json.loads((tmp_path / "lock.json").read_text()) == {"token": "another"}


def test_a_lock_that_cannot_be_written_for_a_while_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.lock._BEAT_SECONDS", 0.05)
    with RunLock(open_store(str(tmp_path))) as lock:
        with failing_at_random(1, seed=0):
            time.sleep(0.2)
        before = (tmp_path / "lock.json").stat().st_mtime_ns
        time.sleep(0.3)
        lock.check()
        assert (tmp_path / "lock.json").stat().st_mtime_ns > before


def test_of_two_that_take_over_at_once_one_remains(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "t"}))
    os.utime(lock, (0, 0))
    held: list[bool] = []

    def take() -> None:
        try:
            with RunLock(open_store(str(tmp_path))):
                held.append(True)
                time.sleep(1)
        except RunConflict:
            held.append(False)

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held) == [False, True]


def test_a_lock_that_could_not_be_removed_is_in_nobodys_way(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    lock = RunLock(store)
    lock.__enter__()
    with failing_at_random(1, seed=0):
        lock.__exit__(None, None, None)
    assert (tmp_path / "lock.json").exists()
    with RunLock(store), pytest.raises(RunConflict, match="another driver"), RunLock(store):
        pass
