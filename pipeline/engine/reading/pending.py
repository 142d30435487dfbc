"""``SharedBatch``: a batch that reader processes put into a ring."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.engine.batch import NO_BOXES, IndexedImage, LoadedBatch, LoadedImage, boxes_in
from pipeline.engine.reading.messages import Found, Request
from pipeline.engine.usage.clock import Clock
from pipeline.images import InputTransform, Reason

_REASONS = {str(reason): reason for reason in Reason}
_CRASHED: Found = (str(Reason.CRASHED), None, None)

ENOUGH = 6
"""Blame at which an image is quarantined as the cause: two crashes, or six kills."""


class SharedBatch:
    """Where the images of a batch stand; the pool's thread fills it, the worker's waits for it.

    ``slot`` is the batch's place in the ring, None while it waits for one.
    """

    def __init__(
        self,
        images: Sequence[IndexedImage],
        crashing: Collection[int],
        clock: Clock,
        transform: InputTransform,
        released: Callable[["SharedBatch"], None],
    ) -> None:
        self.images, self.clock, self._transform = images, clock, transform
        self.slot: int | None = None
        self.over = False
        self.in_progress = 0
        """Pieces that a reader has."""
        self._found: list[Found | None] = [
            _CRASHED if image.row in crashing else None for image in images
        ]
        self._left = self._found.count(None)
        self._blame = Counter[int]()
        self._error: Exception | None = None
        self._done = threading.Event()
        self._pixels: NDArray[np.uint8] | None = None
        self._released = released

    def place_in(self, slot: int, pixels: NDArray[np.uint8]) -> None:
        """Let the images be read into ``pixels`` (at least B, 3, H, W), which is a ring's slot."""
        self.slot, self._pixels = slot, pixels[: len(self.images)]
        for place, found in enumerate(self._found):
            if found is not None:
                self._pixels[place] = 0
        if not self._left:
            self._done.set()

    def pieces(self, most: int) -> Iterator["Piece"]:
        """Cut what is to be read into pieces of at most ``most`` images."""
        for start in range(0, len(self.images), most):
            places = range(start, min(start + most, len(self.images)))
            yield from self.remaining(places)

    def remaining(self, places: Sequence[int]) -> Iterator["Piece"]:
        """Yield what is left of some places, in ascending order, in pieces without a gap."""
        start: int | None = None
        end = -1
        for place in places:
            if self._found[place] is not None:
                continue
            if start is not None and place != end:
                yield Piece(self, start, end - start)
                start = None
            start, end = place if start is None else start, place + 1
        if start is not None:
            yield Piece(self, start, end - start)

    def received(self, first: int, found: Sequence[Found], error: Exception | None = None) -> None:
        """Take what a reader found, from place ``first`` on."""
        if error is not None:
            self.fail(error)
        end = first + len(found)
        known = self._found[first:end]
        self._left -= known.count(None)
        self._found[first:end] = [
            one if was is None else was for was, one in zip(known, found, strict=True)
        ]
        if not self._left:
            self._done.set()

    def blame(self, place: int, weight: int) -> bool:
        """Blame an image for the death of its reader; True if it is quarantined for it."""
        self._blame[place] += weight
        if self._blame[place] < ENOUGH:
            return False
        assert self._pixels is not None
        self._pixels[place] = 0
        self.received(place, [_CRASHED])
        return True

    def fail(self, error: Exception) -> None:
        """Let the worker's wait end with an error."""
        self._error = self._error or error
        self._done.set()

    def result(self) -> LoadedBatch:
        """Wait for all images, or for an error."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        pixels = self._pixels
        assert pixels is not None
        loaded = [
            self._loaded(image, found, pixels[place])
            for place, (image, found) in enumerate(zip(self.images, self._found, strict=True))
            if found is not None
        ]
        return LoadedBatch(loaded, pixels)

    def release(self) -> None:
        """Give the slot back once no reader writes to it."""
        self._released(self)

    def _loaded(self, image: IndexedImage, found: Found, pixels: NDArray[np.uint8]) -> LoadedImage:
        reason, width, height = found
        if reason is not None:
            return LoadedImage(image, None, NO_BOXES, _REASONS[reason], width, height)
        if not len(image.boxes):
            return LoadedImage(image, pixels, NO_BOXES, None, width, height)
        boxes, labels = boxes_in(image, self._transform, width, height)
        return LoadedImage(image, pixels, boxes, None, width, height, labels)


@dataclass(frozen=True, eq=False)
class Piece:
    """``count`` images of a batch from place ``first`` on, read by one process.

    ``alone``: its reader gets nothing else, so that its death is this piece's fault.
    """

    batch: SharedBatch
    first: int
    count: int
    alone: bool = False

    @property
    def places(self) -> range:
        """The places in the batch."""
        return range(self.first, self.first + self.count)

    @property
    def request(self) -> Request:
        """The piece as a reader gets it."""
        assert self.batch.slot is not None
        images = self.batch.images[self.first : self.first + self.count]
        return Request(self.batch.slot, self.first, tuple(image.place for image in images))
