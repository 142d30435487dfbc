import json
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.errors import RunConflict
from pipeline.store import RunLock, open_store
from tests.chaos.trouble import failing_at_random
from tests.waiting import TIMEOUT, until


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
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)  # dead, and left unwaited for
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
        _wait_for_a_beat(tmp_path)
        lock.check()
        until(lambda: _is_lost(lock, by=tmp_path))
        with pytest.raises(RunConflict, match="taken this run over"):
            lock.check()
        assert json.loads((tmp_path / "lock.json").read_text()) == {"token": "another"}


def test_a_lock_that_cannot_be_written_for_a_while_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.store.lock._BEAT_SECONDS", 0.05)
    with RunLock(open_store(str(tmp_path))) as lock:
        with failing_at_random(1, seed=0) as trouble:
            until(lambda: trouble.count >= 3)
        _wait_for_a_beat(tmp_path)
        lock.check()


def _wait_for_a_beat(folder: Path) -> None:
    """Return when the heartbeat has renewed the lock."""
    file = folder / "lock.json"
    before = file.stat().st_mtime_ns
    until(lambda: file.stat().st_mtime_ns > before)


def _is_lost(lock: RunLock, by: Path) -> bool:
    """Take the lock over, as often as a heartbeat that was under way undoes it; did it notice?"""
    (by / "theirs").write_text(json.dumps({"token": "another"}))
    (by / "theirs").replace(by / "lock.json")  # whole at once: the heartbeat never sees a half
    try:
        lock.check()
    except RunConflict:
        return True
    return False


def test_of_two_that_take_over_at_once_one_remains(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "t"}))
    os.utime(lock, (0, 0))
    held: list[bool] = []
    ready, refused = threading.Barrier(2), threading.Event()

    def take() -> None:
        store = open_store(str(tmp_path))
        ready.wait()
        try:
            with RunLock(store):
                held.append(True)
                refused.wait(TIMEOUT)  # or the loser might come when the winner has gone
        except RunConflict:
            held.append(False)
            refused.set()

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
