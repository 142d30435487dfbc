"""Batches of a unit: rows in, model inputs and quarantine reasons out."""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
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
    """One row of the index with its boxes (K, 4) in pixels of the upright image.

    Where images have several labels, ``image`` is the number of the row's image, ``labels`` are
    all of its labels (None: unlabelled) and ``box_labels`` those of its boxes (None: of any label).
    """

    row: int
    place: Place
    label: int | None
    boxes: Boxes
    image: int | None = None
    labels: tuple[int, ...] | None = None
    box_labels: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class LoadedImage:
    """An image as the model's input, or the reason why it cannot be used.

    ``pixels`` is (3, H, W) uint8; ``boxes`` are fractions of the model's input, (K, 4), and
    ``box_labels`` their labels where images have several.
    """

    image: IndexedImage
    pixels: NDArray[np.uint8] | None
    boxes: Boxes
    reason: Reason | None
    width: int | None
    height: int | None
    box_labels: tuple[int | None, ...] = ()

    def boxes_of(self, target: int) -> Boxes:
        """Return the boxes that show an output, (K', 4); all of them where boxes have no labels."""
        own = [label is None or label == target for label in self.box_labels]
        return self.boxes[np.array(own, bool)] if own else self.boxes


def indexed_images(index: pa.Table, boxes: pa.Table) -> list[IndexedImage]:
    """Join index rows with their boxes."""
    by_row: dict[int, list[list[float]]] = defaultdict(list)
    labels: dict[int, list[int | None]] = defaultdict(list)
    for box in boxes.to_pylist():
        by_row[box["row"]].append([box["x0"], box["y0"], box["x1"], box["y1"]])
        if "label" in box:
            labels[box["row"]].append(box["label"])
    return [
        IndexedImage(
            row=item["row"],
            place=Place(item["uri"], item["offset"], item["length"]),
            label=item["label"],
            boxes=np.array(by_row.get(item["row"], []), dtype=np.float32).reshape(-1, 4),
            image=item.get("image"),
            labels=None if item.get("labels") is None else tuple(item["labels"]),
            box_labels=tuple(labels.get(item["row"], ())),
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
    boxes, box_labels = nothing, image.box_labels
    if crop.width and crop.height and crop.pixels is not None and len(image.boxes):
        with clock("transform"):
            if box_labels:  # boxes outside the crop are dropped, and their labels with them
                each = [reader.transform.boxes(box, crop.width, crop.height) for box in image.boxes]
                box_labels = tuple(
                    label for label, kept in zip(box_labels, each, strict=True) if len(kept)
                )
                boxes = np.concatenate(each)
            else:
                boxes = reader.transform.boxes(image.boxes, crop.width, crop.height)
    read = LoadedImage(image, crop.pixels, boxes, crop.reason, crop.width, crop.height)
    return replace(read, box_labels=box_labels) if box_labels else read


def read_ahead(
    images: Sequence[IndexedImage],
    batch_size: int,
    readers: ThreadPoolExecutor,
    load: Callable[[IndexedImage], LoadedImage],
) -> Iterator[list[LoadedImage]]:
    """Start reading the first batches in threads; return an iterator that reads ahead.

    Batches are cut by row, unusable images included, so an image always shares its batch with the
    same images. An image with several rows in a batch is read once. At most ``_AHEAD`` batches
    wait in addition to the one in use.
    """
    starts = iter(range(0, len(images), batch_size))

    def submit(start: int) -> list[tuple[IndexedImage, Future[LoadedImage]]]:
        waiting: list[tuple[IndexedImage, Future[LoadedImage]]] = []
        for item in images[start : start + batch_size]:
            again = waiting and item.image is not None and item.image == waiting[-1][0].image
            waiting.append((item, waiting[-1][1] if again else readers.submit(load, item)))
        return waiting

    waiting = deque(map(submit, islice(starts, _AHEAD + 1)))

    def batches() -> Iterator[list[LoadedImage]]:
        try:
            while waiting:
                batch = [_as_row(*read) for read in waiting.popleft()]
                waiting.extend(map(submit, islice(starts, 1)))
                yield batch
        finally:
            for _, future in chain.from_iterable(waiting):
                future.cancel()

    return batches()


def _as_row(row: IndexedImage, read: Future[LoadedImage]) -> LoadedImage:
    loaded = read.result()
    return loaded if loaded.image is row else replace(loaded, image=row)
