"""Batches of a unit: rows in, model inputs and quarantine reasons out."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.engine.usage.clock import Clock
from pipeline.images import ImageReader, InputTransform, Place, Reason

NO_BOXES = np.empty((0, 4), np.float32)

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


class LoadedImage(NamedTuple):
    """An image as the model's input, or the reason why it cannot be used.

    A tuple, as the thread that computes makes one for every image, and a frozen dataclass takes
    three times as long to make. ``pixels`` is (3, H, W) uint8; ``boxes`` are fractions of the
    model's input, (K, 4), and ``box_labels`` their labels where images have several.
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


class LoadedBatch(Sequence[LoadedImage]):
    """Images of a batch, and their pixels as one array where they lie in memory like that.

    ``pixels`` is (B, 3, H, W) uint8, zeros for images that cannot be used, or None.
    """

    def __init__(
        self, images: Sequence[LoadedImage], pixels: NDArray[np.uint8] | None = None
    ) -> None:
        self._images, self.pixels = images, pixels

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[LoadedImage]:
        return iter(self._images)

    @overload
    def __getitem__(self, place: int) -> LoadedImage: ...

    @overload
    def __getitem__(self, place: slice) -> "LoadedBatch": ...

    def __getitem__(self, place: int | slice) -> "LoadedImage | LoadedBatch":
        if isinstance(place, int):
            return self._images[place]
        return LoadedBatch(self._images[place], None if self.pixels is None else self.pixels[place])


def padded(batch: Sequence[LoadedImage], size: int) -> LoadedBatch:
    """Return a batch of ``size`` that begins with this one and ends with images without pixels.

    These stand where the last image stands in the index, so that they have what it has: labels,
    references.
    """
    missing = size - len(batch)
    last = replace(batch[-1].image, boxes=NO_BOXES, box_labels=())
    blank = LoadedImage(last, None, NO_BOXES, Reason.MISSING, None, None)
    pixels = batch.pixels if isinstance(batch, LoadedBatch) else None
    if pixels is not None:
        pixels = np.concatenate([pixels, np.zeros((missing, *pixels.shape[1:]), np.uint8)])
    return LoadedBatch([*batch, *[blank] * missing], pixels)


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
    if image.row in crashing:
        return LoadedImage(image, None, NO_BOXES, Reason.CRASHED, None, None)
    crop = reader.load(image.place, clock)
    if crop.pixels is None:
        return LoadedImage(image, None, NO_BOXES, crop.reason, crop.width, crop.height)
    with clock("transform"):
        boxes, labels = boxes_in(image, reader.transform, crop.width, crop.height)
    return LoadedImage(image, crop.pixels, boxes, None, crop.width, crop.height, labels)


def boxes_in(
    image: IndexedImage, transform: InputTransform, width: int | None, height: int | None
) -> tuple[Boxes, tuple[int | None, ...]]:
    """Return the boxes of an image of this size in the model's input, and their labels.

    Boxes outside the crop are dropped, and their labels with them.
    """
    if not (width and height and len(image.boxes)):
        return NO_BOXES, ()
    if not image.box_labels:
        return transform.boxes(image.boxes, width, height), ()
    each = [transform.boxes(box, width, height) for box in image.boxes]
    pairs = zip(image.box_labels, each, strict=True)
    return np.concatenate(each), tuple(label for label, kept in pairs if len(kept))
