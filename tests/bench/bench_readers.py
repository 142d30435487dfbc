"""Reader processes: how they scale, and what a consumer on a thread gets beside them.

    python -m tests.bench.bench_readers [FOLDER OF JPEG FILES]

The consumer stands for a GPU: it takes a batch every so often, and holds the interpreter's lock
for none of that time. What it lacks of min(its rate, the readers' rate) it lost to reading. On a
machine that is busy with other work only the CPU time for an image means anything.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from pipeline.engine.batch import NO_BOXES, IndexedImage
from pipeline.engine.clock import Clock
from pipeline.engine.reading.messages import Settings
from pipeline.engine.reading.processes import process_readers
from pipeline.engine.reading.readers import AHEAD, UNITS, ReadAhead, Readers
from pipeline.engine.reading.ring import Shape
from pipeline.engine.reading.threads import thread_readers
from pipeline.images import InputTransform
from tests.bench.bench_decode import SUFFIXES
from tests.engine.reading.pictures import indexed
from tests.images.gallery import encode, picture

_BATCH = 64
_IMAGES = 1_500
_ROUNDS = 3
_TRANSFORM = InputTransform((224, 224), (0.5,) * 3, (0.5,) * 3, "bicubic", 0.9, resize="torch")

Opener = Callable[[str, int], AbstractContextManager[Readers]]


def by_processes(root: str, count: int) -> AbstractContextManager[Readers]:
    """Open reader processes."""
    shape = Shape(UNITS * AHEAD + 1, _BATCH, _TRANSFORM.size)
    return process_readers(Settings(root, _TRANSFORM.to_dict(), 10**8, None, shape), count)


def by_threads(root: str, count: int) -> AbstractContextManager[Readers]:
    """Open reading threads."""
    settings = Settings(root, _TRANSFORM.to_dict(), 10**8, None, Shape(1, 1, (1, 1)))
    return thread_readers(settings.reader(), count)


def rate(readers: Readers, images: list[IndexedImage], pause: float = 0.0) -> float:
    """Return the images/s that a consumer gets that needs ``pause`` seconds for a batch."""
    start, due = time.perf_counter(), time.perf_counter()
    for _ in ReadAhead(images, _BATCH, readers, (), Clock()):
        due = max(due, time.perf_counter()) + pause
        while (left := due - time.perf_counter()) > 0:
            time.sleep(left)
    return len(images) / (time.perf_counter() - start)


def own_time(readers: Readers, images: list[IndexedImage]) -> float:
    """Return the CPU seconds that this process spends for an image, decoding in it included."""
    start = time.process_time()
    rate(readers, images)
    return (time.process_time() - start) / len(images)


def lost(readers: Readers, images: list[IndexedImage]) -> float:
    """Return the share of its speed that a thread of pure Python loses while images are read."""
    with ThreadPoolExecutor(1) as other:
        alone = _spins(lambda: time.sleep(2))
        reading = other.submit(rate, readers, images)
        beside = _spins(lambda: reading.result())
    return 1 - beside / alone


def _spins(wait: Callable[[], object]) -> float:
    """Return how often a second (of its CPU time) this thread gets round until ``wait`` returns."""
    count, start = 0, time.perf_counter()
    with ThreadPoolExecutor(1) as waiting:
        waited = waiting.submit(wait)
        while not waited.done():
            for _ in range(10_000):
                count += 1
    return count / (time.perf_counter() - start)


def main() -> None:
    """Print rates of one and two readers of each kind, and what consumers get."""
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
                own = own_time(one, images)
                print(f"  the worker's process spends {own * 1e6:.0f} µs of CPU on an image")
                for share in (0.5, 0.8):
                    wanted = share * single
                    got = rate(one, images, _BATCH / wanted)
                    print(f"  a consumer of {wanted:,.0f} images/s gets {got / wanted:.3f} of that")
                print(f"  a thread of pure Python loses {lost(one, images):.1%} beside 1 {kind}")


if __name__ == "__main__":
    main()
