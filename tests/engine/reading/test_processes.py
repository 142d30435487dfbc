"""Processes read what threads read, whatever happens to them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline.engine.batch import NO_BOXES, IndexedImage
from pipeline.engine.reading.processes import ProcessReaders, process_readers
from pipeline.engine.reading.readers import ReadAhead, Readers
from pipeline.engine.reading.threads import ThreadReaders
from pipeline.engine.usage.clock import Clock
from pipeline.images import ImageReader, Place
from tests.chaos.workers import DEADLY
from tests.engine.reading.pictures import TRANSFORM, indexed, plain, settings, write_pictures
from tests.waiting import until, until_ended

BATCH = 16
IMAGES = 100


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def images(folder: Path) -> list[IndexedImage]:
    return write_pictures(folder, IMAGES)


@pytest.fixture(scope="module")
def expected(folder: Path, images: list[IndexedImage]) -> list[list[tuple[object, ...]]]:
    reader = ImageReader(str(folder), TRANSFORM, 10**8)
    with ThreadPoolExecutor(1) as threads:
        return read(ThreadReaders(threads, reader), images)


@pytest.fixture(scope="module")
def readers(folder: Path) -> Iterator[ProcessReaders]:
    # Images of this content kill the process that decodes them.
    path = str(Path(__file__).parents[2] / "chaos" / "segfault")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, path])
        with process_readers(settings(str(folder)), 2) as opened:
            yield opened


def read(readers: Readers, images: list[IndexedImage]) -> list[list[tuple[object, ...]]]:
    return [plain(batch) for batch in ReadAhead(images, BATCH, readers, (), Clock())]


def test_they_read_what_threads_read(
    readers: ProcessReaders,
    images: list[IndexedImage],
    expected: list[list[tuple[object, ...]]],
) -> None:
    clock = Clock()
    found = []
    for batch in ReadAhead(images, BATCH, readers, (), clock):
        assert batch.pixels is not None
        assert batch.pixels.shape == (len(batch), 3, *TRANSFORM.size)
        for place, one in enumerate(batch):
            shown = batch.pixels[place]
            assert not shown.any() if one.pixels is None else np.array_equal(shown, one.pixels)
        assert plain(batch[3:5]) == plain(batch)[3:5]
        assert np.array_equal(batch[3:5].pixels, batch.pixels[3:5])  # type: ignore[arg-type]
        found.append(plain(batch))
    assert found == expected
    assert sum(map(len, found)) == IMAGES + 5
    assert {one[3] for batch in found for one in batch} > {None, "empty"}
    assert clock.seconds.keys() >= {"fetch", "decode", "transform"}
    assert readers.memory > 50e6


def test_a_reader_killed_at_any_time_costs_nothing(
    readers: ProcessReaders,
    images: list[IndexedImage],
    expected: list[list[tuple[object, ...]]],
) -> None:
    for kind in (signal.SIGKILL, signal.SIGTERM):
        found = []
        for batch in ReadAhead(images, BATCH, readers, (), Clock()):
            found.append(plain(batch))
            if len(found) % 2:
                os.kill(readers.pids[len(found) % len(readers.pids)], kind)
        assert found == expected


def test_an_image_that_crashes_its_reader_is_quarantined_alone(
    readers: ProcessReaders, folder: Path
) -> None:
    (folder / "deadly").write_bytes(DEADLY)
    images = indexed([f"{n:04d}.jpg" if n % 10 != 7 else "deadly" for n in range(40)])
    before = set(readers.pids)
    found = [one for batch in read(readers, images) for one in batch]
    assert [one[0] for one in found] == list(range(40))
    assert [one[3] for one in found] == ["crashed" if n % 10 == 7 else None for n in range(40)]
    assert set(readers.pids) != before


def test_known_crashes_are_not_read_again(readers: ProcessReaders) -> None:
    batch = readers.begin(indexed(["0000.jpg", "deadly"]), {1}, Clock())
    assert [one.reason for one in batch.result()] == [None, "crashed"]
    batch.release()
    batch = readers.begin(indexed(["deadly"]), {0}, Clock())
    assert [one.reason for one in batch.result()] == ["crashed"]
    batch.release()


def test_an_error_is_the_units(readers: ProcessReaders, folder: Path) -> None:
    (folder / "folder.parquet").mkdir()
    unreadable = IndexedImage(1, Place("folder.parquet#0/0/image", 0, 1), None, NO_BOXES)
    images = [*indexed(["0000.jpg"]), unreadable, *indexed(["0001.jpg"])]
    with pytest.raises(IsADirectoryError):
        list(ReadAhead(images, BATCH, readers, (), Clock()))


def test_an_error_gives_the_room_back_though_somebody_keeps_it(
    readers: ProcessReaders, folder: Path
) -> None:
    (folder / "other.parquet").mkdir()
    unreadable = IndexedImage(0, Place("other.parquet#0/0/image", 0, 1), None, NO_BOXES)
    kept = []
    for _ in range(4):
        with pytest.raises(IsADirectoryError) as caught:
            list(ReadAhead([unreadable] * 3 * BATCH, BATCH, readers, (), Clock()))
        kept.append(caught)
    begun = [readers.begin(indexed(["0000.jpg"]), (), Clock()) for _ in range(10)]
    until(lambda: all(batch.slot is not None for batch in begun))
    for batch in begun:
        batch.release()


def test_only_as_much_is_read_as_there_is_room_for(
    readers: ProcessReaders, images: list[IndexedImage]
) -> None:
    begun = [readers.begin(images[:BATCH], (), Clock()) for _ in range(14)]
    for batch in begun[:10]:
        batch.result()
    assert [batch.slot is None for batch in begun] == [False] * 10 + [True] * 4
    begun[3].release()
    assert len(begun[10].result()) == BATCH
    assert begun[11].slot is None
    for batch in begun:
        batch.release()
    assert len(readers.begin(images[:3], (), Clock()).result()) == 3


def test_a_unit_that_is_never_computed_leaves_its_room(
    readers: ProcessReaders,
    images: list[IndexedImage],
    expected: list[list[tuple[object, ...]]],
) -> None:
    for _ in range(6):
        ReadAhead(images, BATCH, readers, (), Clock())
    assert read(readers, images) == expected


_WORKER = """
import sys, time
from pipeline.engine.reading.processes import process_readers
from pipeline.engine.usage.clock import Clock
from tests.engine.reading.pictures import indexed, settings
with process_readers(settings(sys.argv[1]), 2) as readers:
    readers.begin(indexed(["0000.jpg"] * 16), (), Clock()).result()
    print(*readers.pids, flush=True)
    time.sleep(600)
"""


def test_readers_die_with_their_worker(images: list[IndexedImage], folder: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert worker.stdout is not None
    readers = [psutil.Process(int(pid)) for pid in worker.stdout.readline().split()]
    assert len(readers) == 2
    worker.kill()
    worker.communicate()
    until_ended(readers)


def test_readers_that_cannot_start_are_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with (
        process_readers(settings(str(folder)), 1) as readers,
        pytest.raises(RuntimeError, match=r"do not start.*exit code 3"),
    ):
        readers.begin(indexed(["0000.jpg"]), (), Clock()).result()
