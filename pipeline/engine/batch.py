"""Batches of a unit: rows in, model inputs and quarantine reasons out."""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.engine.clock import Clock
from pipeline.images import ImageReader, Place, Reason

_AHEAD = 2
"""Batches being read while one is computed."""

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class IndexedImage:
    """One row of the index with its boxes (K, 4) in pixels of the upright image."""

    row: int
    place: Place
    label: int | None
    boxes: Boxes


@dataclass(frozen=True)
class LoadedImage:
    """An image as the model's input, or the reason why it cannot be used.

    ``pixels`` is (3, H, W) uint8; ``boxes`` are fractions of the model's input, (K, 4).
    """

    image: IndexedImage
    pixels: NDArray[np.uint8] | None
    boxes: Boxes
    reason: Reason | None
    width: int | None
    height: int | None


def indexed_images(index: pa.Table, boxes: pa.Table) -> list[IndexedImage]:
    """Join index rows with their boxes."""
    by_row: dict[int, list[list[float]]] = defaultdict(list)
    for box in boxes.to_pylist():
        by_row[box["row"]].append([box["x0"], box["y0"], box["x1"], box["y1"]])
    return [
        IndexedImage(
            row=item["row"],
            place=Place(item["uri"], item["offset"], item["length"]),
            label=item["label"],
            boxes=np.array(by_row.get(item["row"], []), dtype=np.float32).reshape(-1, 4),
        )
        for item in index.to_pylist()
    ]


def load_image(
    image: IndexedImage, reader: ImageReader, crashing: Collection[int], clock: Clock
) -> LoadedImage:
    """Load one image and its boxes; a bad image becomes a reason, never an error.

    Rows in ``crashing`` are known to kill their reader and are not read. Only temporary errors
    (a store that does not answer) are raised, so that the unit is tried again.
    """
    nothing = np.empty((0, 4), np.float32)
    if image.row in crashing:
        return LoadedImage(image, None, nothing, Reason.CRASHED, None, None)
    crop = reader.load(image.place, clock)
    boxes = nothing
    if crop.width and crop.height and crop.pixels is not None and len(image.boxes):
        with clock("transform"):
            boxes = reader.transform.boxes(image.boxes, crop.width, crop.height)
    return LoadedImage(image, crop.pixels, boxes, crop.reason, crop.width, crop.height)


def read_ahead(
    images: Sequence[IndexedImage],
    batch_size: int,
    readers: ThreadPoolExecutor,
    load: Callable[[IndexedImage], LoadedImage],
) -> Iterator[list[LoadedImage]]:
    """Start reading the first batches in threads; return an iterator that reads ahead.

    Batches are cut by row, unusable images included, so an image always shares its batch with the
    same images. At most ``_AHEAD`` batches wait in addition to the one in use.
    """
    starts = iter(range(0, len(images), batch_size))

    def submit(start: int) -> list[Future[LoadedImage]]:
        return [readers.submit(load, item) for item in images[start : start + batch_size]]

    waiting = deque(map(submit, islice(starts, _AHEAD + 1)))

    def batches() -> Iterator[list[LoadedImage]]:
        try:
            while waiting:
                batch = [future.result() for future in waiting.popleft()]
                waiting.extend(map(submit, islice(starts, 1)))
                yield batch
        finally:
            for future in chain.from_iterable(waiting):
                future.cancel()

    return batches()
