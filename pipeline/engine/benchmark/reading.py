"""Reading alone: the stages of one reader, and how readers add up."""

import time
from collections.abc import Sequence
from itertools import cycle, islice

from pipeline.config import ReadersKind
from pipeline.engine.batch import IndexedImage
from pipeline.engine.benchmark.result import Readers as ReadersRate
from pipeline.engine.reading.open import open_readers, resolved
from pipeline.engine.reading.readers import ReadAhead, Readers
from pipeline.engine.usage.clock import Clock
from pipeline.store import Run
from pipeline.store.crops import image_reader

_STAGES = ("fetch", "decode", "transform")


def stage_rates(run: Run, images: Sequence[IndexedImage], seconds: float) -> dict[str, float]:
    """Return the images per second of every stage of one reader, from about ``seconds``."""
    reader = image_reader(run)
    reader.load(images[0].place)  # opens what is opened once
    clock, count, end = Clock(), 0, time.perf_counter() + seconds
    for image in cycle(images):
        reader.load(image.place, clock)
        count += 1
        if time.perf_counter() > end and count >= min(len(images), 8):
            break
    spent = clock.seconds
    return {stage: count / max(spent.get(stage, 0.0), 1e-4) for stage in _STAGES}


def scaling(
    run: Run,
    images: Sequence[IndexedImage],
    counts: Sequence[int],
    kind: ReadersKind,
    seconds: float,
    guess: float,
) -> list[ReadersRate]:
    """Return how fast different numbers of readers are, each in about ``seconds``.

    ``guess`` is the images per second of one reader, by which the number of images is chosen.
    """
    found = []
    for count in counts:
        with open_readers(run, count, kind) as readers:
            batch = run.config.flow.batch_size
            rate(readers, list(islice(cycle(images), batch)), batch)  # they start
            some = max(2 * batch, round(seconds * guess * count))
            wanted = list(islice(cycle(images), some))
            found.append(ReadersRate(resolved(kind), count, rate(readers, wanted, batch)))
    return found


def rate(readers: Readers, images: Sequence[IndexedImage], batch: int) -> float:
    """Return the images per second that readers give to what does nothing with them."""
    begin = time.perf_counter()
    ahead = ReadAhead(images, batch, readers, (), Clock())
    try:
        for _ in ahead:
            pass
    finally:
        ahead.close()
    return len(images) / (time.perf_counter() - begin)
