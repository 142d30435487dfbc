"""Batches of a unit: rows in, model inputs and quarantine reasons out."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.engine.context import Context
from pipeline.images import decode

_AHEAD = 2
"""Batches being read while one is computed."""

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class IndexedImage:
    """One row of the index with its boxes (K, 4) in pixels of the upright image."""

    row: int
    uri: str
    offset: int | None
    length: int | None
    label: int | None
    boxes: Boxes


@dataclass(frozen=True)
class LoadedImage:
    """An image as the model gets it, or the reason why it cannot be used.

    ``pixels`` is (3, H, W) uint8; ``boxes`` are fractions of the model's input, (K, 4).
    """

    image: IndexedImage
    pixels: NDArray[np.uint8] | None
    boxes: Boxes
    reason: str | None
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
            uri=item["uri"],
            offset=item["offset"],
            length=item["length"],
            label=item["label"],
            boxes=np.array(by_row.get(item["row"], []), dtype=np.float32).reshape(-1, 4),
        )
        for item in index.to_pylist()
    ]


def load_image(image: IndexedImage, context: Context) -> LoadedImage:
    """Fetch, decode and transform one image; a bad image becomes a reason, never an error.

    Only what may pass (a store that does not answer) is raised, so that the unit is tried again.
    """
    nothing = np.empty((0, 4), np.float32)
    try:
        content = context.fetcher.fetch(image.uri, image.offset, image.length)
    except FileNotFoundError:
        return LoadedImage(image, None, nothing, "missing", None, None)
    decoded = decode(content, context.run.config.limits.max_pixels)
    if decoded.image is None:
        return LoadedImage(image, None, nothing, decoded.reason, decoded.width, decoded.height)
    width, height = decoded.image.size
    boxes = context.transform.boxes(image.boxes, width, height) if len(image.boxes) else nothing
    return LoadedImage(image, context.transform(decoded.image), boxes, None, width, height)


def read_ahead(
    images: list[IndexedImage],
    batch_size: int,
    pool: ThreadPoolExecutor,
    load: Callable[[IndexedImage], LoadedImage],
) -> Iterator[list[LoadedImage]]:
    """Yield batches in order of rows while threads of ``pool`` already read the next ones.

    Batches are cut by row, never by what could be used, so an image's batch mates are always the
    same. At most ``_AHEAD`` batches wait.
    """
    waiting: deque[list[Future[LoadedImage]]] = deque()
    starts = iter(range(0, len(images), batch_size))

    def submit() -> None:
        start = next(starts, None)
        if start is not None:
            waiting.append([pool.submit(load, item) for item in images[start : start + batch_size]])

    for _ in range(_AHEAD + 1):
        submit()
    while waiting:
        batch = [future.result() for future in waiting.popleft()]
        submit()
        yield batch
