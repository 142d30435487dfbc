"""A disk that fills up: a small file system of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.engine import run_flows
from pipeline.errors import StoreFull
from pipeline.store import Receipt, open_run, open_store, valid_receipts
from tests.engine.datasets import small_config
from tests.engine.trees import tree


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_space(
    small_disk: Path, tmp_path: Path
) -> None:
    run_flows(small_config(tmp_path, "undisturbed"))
    config = small_config(tmp_path, "disk/run")
    ballast = small_disk / "ballast"
    receipts: list[Receipt] = []

    def fill_up(receipt: Receipt) -> None:
        receipts.append(receipt)
        if len(receipts) == 2:
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    with pytest.raises(StoreFull, match=r"no space left.*run the same command again"):
        run_flows(config, on_receipt=fill_up)
    spec = open_run(config.run).spec
    done = valid_receipts(open_store(config.run), spec)
    assert 2 <= len(done) < 5
    ballast.unlink()
    again: list[Receipt] = []
    run_flows(config, on_receipt=again.append)
    assert len(again) == 5 - len(done)
    assert tree(config.run) == tree(tmp_path / "undisturbed")
