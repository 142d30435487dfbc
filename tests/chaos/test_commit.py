"""A commit that ends between any two of its steps."""

import multiprocessing
import shutil
import signal
from pathlib import Path

import pytest

from pipeline.store import commit_unit, create_run, finalize, open_store, valid_receipts, verify
from tests.chaos.trouble import StoreFailed, StoreTrouble, dying_at, failing_at
from tests.engine.trees import tree
from tests.store.runs import data_of, index_of, spec_of
from tests.store.test_commit import write_run

SPEC = spec_of(rows=30, unit_rows=16)
UNIT = SPEC.units[1]


def commit(folder: Path) -> None:
    commit_unit(open_store(str(folder)), SPEC, UNIT, data_of(UNIT, SPEC))


def commit_and_die(folder: Path, call: int) -> None:
    with dying_at(call):
        commit(folder)


def finished(folder: Path) -> dict[str, bytes]:
    """Finish the run in ``folder``, check it and return it."""
    store = open_store(str(folder))
    commit(folder)
    totals = finalize(store, SPEC, quarantine_limit=0)
    assert totals.ok == totals.rows == 30
    assert not verify(store, SPEC, deep=True).problems
    return tree(folder)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which one unit is missing."""
    folder = tmp_path_factory.mktemp("begun")
    store = open_store(str(folder))
    create_run(store, SPEC, index_of(SPEC))
    commit_unit(store, SPEC, SPEC.units[0], data_of(SPEC.units[0], SPEC))
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_run(folder, SPEC)
    return finished(folder)


@pytest.fixture(scope="module")
def calls(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many calls of the store a commit makes."""
    folder = tmp_path_factory.mktemp("counted") / "run"
    shutil.copytree(begun, folder)
    with failing_at(0) as trouble:
        commit(folder)
    return trouble.count


def test_a_store_that_fails_at_any_call(
    begun: Path, undisturbed: dict[str, bytes], calls: int, tmp_path: Path
) -> None:
    assert calls > 8
    for call in range(1, calls + 1):
        folder = tmp_path / str(call)
        shutil.copytree(begun, folder)
        with pytest.raises(StoreFailed), failing_at(call):
            commit(folder)
        assert set(valid_receipts(open_store(str(folder)), SPEC)) == {0}
        assert finished(folder) == undisturbed


def test_a_process_that_dies_at_any_call(
    begun: Path, undisturbed: dict[str, bytes], calls: int, tmp_path: Path
) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.chaos.test_commit"])
    for call in range(1, calls + 1):
        folder = tmp_path / str(call)
        shutil.copytree(begun, folder)
        process = processes.Process(target=commit_and_die, args=(folder, call))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert set(valid_receipts(open_store(str(folder)), SPEC)) == {0}
        assert finished(folder) == undisturbed


def test_a_worker_that_outlives_its_driver_undoes_nothing(
    undisturbed: dict[str, bytes], calls: int, tmp_path: Path
) -> None:
    """It looked before the unit was done by another, and dies at any of its later steps."""
    write_run(tmp_path / "done", SPEC)
    for call in range(2, calls + 1):
        folder = tmp_path / str(call)
        shutil.copytree(tmp_path / "done", folder)
        receipt = folder / "receipts/00000001.json"
        content = receipt.read_bytes()
        receipt.unlink()
        with pytest.raises(StoreFailed), overtaken(receipt, content, call):
            commit(folder)
        assert set(valid_receipts(open_store(str(folder)), SPEC)) == {0, 1}
        assert finished(folder) == undisturbed


def overtaken(receipt: Path, content: bytes, call: int) -> StoreTrouble:
    """Let the receipt appear after the first call, and a later call fail."""

    def happen(trouble: StoreTrouble, name: str, arguments: object) -> None:
        if trouble.count == 2:
            receipt.write_bytes(content)
        if trouble.count == call:
            raise StoreFailed("gone")

    return StoreTrouble(happen)
