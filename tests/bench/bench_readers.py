"""Reader processes: how they scale, and what a consumer on a thread gets beside them.

    python -m tests.bench.bench_readers [FOLDER OF JPEG FILES]

The consumer stands for a GPU: it takes a batch every so often, and holds the interpreter's lock
for none of that time. What it lacks of min(its rate, the readers' rate) it lost to reading.

On a machine that is busy with other work, rates say little. What the kernel knows of each reader
says more: the time it ran, the time it was ready to run while other work had the CPU, and the rest,
in which it waited for something to read: that alone is lost by how readers are fed. Images per
second of running are what one reader does on a free CPU, and its share of time not waited how much
of that is used (Linux).
"""

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.engine.batch import NO_BOXES, IndexedImage
from pipeline.engine.reading.messages import Settings
from pipeline.engine.reading.processes import ProcessReaders, process_readers
from pipeline.engine.reading.readers import AHEAD, UNITS, ReadAhead, Readers
from pipeline.engine.reading.ring import Shape
from pipeline.engine.reading.threads import thread_readers
from pipeline.engine.usage.clock import Clock
from pipeline.images import InputTransform
from pipeline.nouns import counted
from tests.bench.bench_decode import SUFFIXES
from tests.engine.reading.pictures import indexed
from tests.images.gallery import encode, picture

_BATCH = 64
_IMAGES = 1_500
_ROUNDS = 3
_TRANSFORM = InputTransform((224, 224), (0.5,) * 3, (0.5,) * 3, "bicubic", 0.9, resize="torch")

Opener = Callable[[str, int], AbstractContextManager[Readers]]


def by_processes(root: str, count: int, batch: int = _BATCH) -> AbstractContextManager[Readers]:
    """Open reader processes."""
    shape = Shape(UNITS * AHEAD + 1, batch, _TRANSFORM.size)
    return process_readers(Settings(root, _TRANSFORM.to_dict(), 10**8, None, shape), count)


def by_threads(root: str, count: int) -> AbstractContextManager[Readers]:
    """Open reading threads."""
    settings = Settings(root, _TRANSFORM.to_dict(), 10**8, None, Shape(1, 1, (1, 1)))
    return thread_readers(settings.reader(), count)


def rate(
    readers: Readers, images: list[IndexedImage], pause: float = 0.0, batch: int = _BATCH
) -> float:
    """Return the images/s that a consumer gets that needs ``pause`` seconds for a batch.

    From its first batch on, which in a run is read while the unit before is computed. The time in
    which it was ready to run while other work had the CPU is not counted.
    """
    start = due = 0.0
    mine = Times(0, 0)
    for number, _ in enumerate(ReadAhead(images, batch, readers, (), Clock())):
        if not number:
            start, mine = time.perf_counter(), Times.of_this_thread()
            due = start
        due = max(due, time.perf_counter()) + pause
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
    lost = (Times.of_this_thread() - mine).ready
    last = min(batch, len(images)) if not pause else 0
    return (len(images) - last) / (time.perf_counter() - start - lost)


@dataclass(frozen=True)
class Times:
    """Seconds that a reader ran, and was ready to run while other work had the CPU."""

    ran: float
    ready: float

    @classmethod
    def of(cls, pid: int) -> "Times":
        """Return those of a process's main thread."""
        return cls._read(Path(f"/proc/{pid}/schedstat"))

    @classmethod
    def of_this_thread(cls) -> "Times":
        """Return those of the thread that calls."""
        return cls._read(Path(f"/proc/self/task/{threading.get_native_id()}/schedstat"))

    @classmethod
    def _read(cls, place: Path) -> "Times":
        ran, ready, _ = place.read_text().split()
        return cls(int(ran) / 1e9, int(ready) / 1e9)

    def __sub__(self, earlier: "Times") -> "Times":
        return Times(self.ran - earlier.ran, self.ready - earlier.ready)


def scheduled(readers: ProcessReaders, images: list[IndexedImage]) -> tuple[float, float]:
    """Return images per second of one reader's running, and the share of time it did not wait."""
    before = {pid: Times.of(pid) for pid in readers.pids}
    start = time.perf_counter()
    rate(readers, images)
    wall = time.perf_counter() - start
    spent = [Times.of(pid) - earlier for pid, earlier in before.items()]
    ran, ready = sum(one.ran for one in spent), sum(one.ready for one in spent)
    return len(images) / ran, (ran + ready) / (wall * len(spent))


def scaling(one: ProcessReaders, two: ProcessReaders, images: list[IndexedImage]) -> None:
    """Print what one and two reader processes do, by what the kernel knows of them."""
    rounds = [(scheduled(one, images), scheduled(two, images)) for _ in range(_ROUNDS)]
    (single, busy_one), (double, busy_two) = (
        [statistics.median(column) for column in zip(*side, strict=True)]
        for side in zip(*rounds, strict=True)
    )
    print(f"  1 process: {single:,.0f} images a second of running, {busy_one:.1%} not waiting")
    print(f"  2 processes: {double:,.0f} each, {busy_two:.1%} not waiting")
    ratio = 2 * double * busy_two / (single * busy_one)
    print(f"  so two are {ratio:.2f} × one on CPUs of their own")


def consumer(readers: ProcessReaders, images: list[IndexedImage], wanted: float) -> None:
    """Print what a consumer of ``wanted`` images/s gets of that, or of what the readers can do.

    They can do what they read in the time in which they ran or were ready to run.
    """
    before = {pid: Times.of(pid) for pid in readers.pids}
    got = rate(readers, images, _BATCH / wanted)
    spent = [Times.of(pid) - earlier for pid, earlier in before.items()]
    able = len(spent) * len(images) / sum(one.ran + one.ready for one in spent)
    print(
        f"  a consumer of {wanted:,.0f} images/s gets {got:,.0f} of {len(spent)} that could read "
        f"{able:,.0f} beside this machine's other work: {got / min(wanted, able):.3f}"
    )


def own_time(readers: Readers, images: list[IndexedImage]) -> float:
    """Return the CPU seconds that this process spends for an image, decoding in it included."""
    start = time.process_time()
    rate(readers, images)
    return (time.process_time() - start) / len(images)


def messages(folder: Path) -> None:
    """Print what answers of readers cost the worker, at as many images/s as a GPU needs.

    The images are so small that two cores read thousands of them; user CPU time of the worker's
    process bounds the time in which it holds the interpreter's lock.
    """
    for number in range(50):
        content = encode(picture(64, 48, number), "JPEG", quality=80)
        (folder / f"{number}.jpg").write_bytes(content)
    images = [
        replace(one, boxes=NO_BOXES) for one in indexed([f"{n % 50}.jpg" for n in range(6000)])
    ]
    for count, batch in ((1, 64), (2, 64), (8, 64), (8, 256)):
        with by_processes(str(folder), count, batch) as readers:
            rate(readers, images[: 4 * batch], batch=batch)
            start, before = time.perf_counter(), os.times().user
            rate(readers, images, batch=batch)
            speed = len(images) / (time.perf_counter() - start)
            spent = (os.times().user - before) / len(images)
        print(
            f"{counted(count, 'process')}, batches of {batch}: {speed:,.0f} images/s, "
            f"{spent * 1e6:.1f} µs of user CPU time an image, {spent * speed:.1%} of a second"
        )


def lost(readers: Readers, images: list[IndexedImage]) -> float:
    """Return the share of its speed that a thread of pure Python loses while images are read."""
    with ThreadPoolExecutor(1) as other:
        alone = _spins(lambda: time.sleep(2))
        reading = other.submit(rate, readers, images)
        beside = _spins(lambda: reading.result())
    return 1 - beside / alone


def _spins(wait: Callable[[], object]) -> float:
    """Return how often a second this thread gets round until ``wait`` returns.

    The time in which other processes had the CPU is not counted, that without the lock is.
    """
    count, start, mine = 0, time.perf_counter(), Times.of_this_thread()
    with ThreadPoolExecutor(1) as waiting:
        waited = waiting.submit(wait)
        while not waited.done():
            for _ in range(10_000):
                count += 1
    lost = (Times.of_this_thread() - mine).ready
    return count / (time.perf_counter() - start - lost)


def main() -> None:
    """Print what readers of each kind do, what consumers get, and what answers cost."""
    with tempfile.TemporaryDirectory() as name:
        messages(Path(name))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(name)
        if len(sys.argv) == 1:
            for number in range(200):
                content = encode(picture(500, 375, number), "JPEG", quality=92)
                (folder / f"{number}.jpg").write_bytes(content)
        found = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES]
        names = sorted(str(path.relative_to(folder)) for path in found)
        listed = indexed([names[number % len(names)] for number in range(_IMAGES)])
        images = [replace(image, boxes=NO_BOXES) for image in listed]
        for kind, opener in (("process", by_processes), ("thread", by_threads)):
            with opener(str(folder), 1) as one, opener(str(folder), 2) as two:
                for readers in (one, two):
                    rate(readers, images[: 4 * _BATCH])
                rounds = [(rate(one, images), rate(two, images)) for _ in range(_ROUNDS)]
                single, double = (statistics.median(column) for column in zip(*rounds, strict=True))
                ratio = statistics.median(b / a for a, b in rounds)
                print(f"1 {kind}: {single:,.0f} images/s; 2: {double:,.0f}; ratio {ratio:.2f}")
                if isinstance(one, ProcessReaders) and isinstance(two, ProcessReaders):
                    scaling(one, two, images)
                own = own_time(one, images)
                print(f"  the worker's process spends {own * 1e6:.0f} µs of CPU on an image")
                for share in (0.5, 0.8, 1.6):
                    wanted = share * single
                    if isinstance(two, ProcessReaders):
                        consumer(two, images, wanted)
                        continue
                    got = rate(one, images, _BATCH / wanted)
                    print(f"  a consumer of {wanted:,.0f} images/s gets {got / wanted:.3f} of that")
                print(f"  a thread of pure Python loses {lost(one, images):.1%} beside 1 {kind}")


if __name__ == "__main__":
    main()
