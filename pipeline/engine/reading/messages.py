"""The messages between a worker and its reader processes."""

import json
import marshal
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from pipeline.engine.reading.ring import Shape
from pipeline.images import ImageReader, InputTransform, Place


@dataclass(frozen=True)
class Settings:
    """What reader processes need to know; their fork server gets it as JSON on its command line.

    ``ring`` is the descriptor of the ring, which they inherit.
    """

    root: str
    transform: Mapping[str, Any]
    max_pixels: int
    bit_depth: int | None
    shape: Shape
    ring: int = -1

    def to_json(self) -> str:
        """Return JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """Inverse of :meth:`to_json`."""
        content = json.loads(text)
        shape = content["shape"]
        content["shape"] = Shape(shape["slots"], shape["images"], tuple(shape["size"]))
        return cls(**content)

    def reader(self) -> ImageReader:
        """Return the reader of images that these settings describe."""
        transform = InputTransform.from_dict(self.transform)
        return ImageReader(self.root, transform, self.max_pixels, self.bit_depth)


STARTED = b"started"
"""A reader's first message."""


class Request(NamedTuple):
    """Images to be read in order: the first goes to ``first`` of the ring's ``slot``."""

    slot: int
    first: int
    places: tuple[Place, ...]

    def to_bytes(self) -> bytes:
        """Return bytes for a process of the same Python."""
        return marshal.dumps((self.slot, self.first, tuple(map(tuple, self.places))))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Request":
        """Inverse of :meth:`to_bytes`."""
        slot, first, places = marshal.loads(content)
        return cls(slot, first, tuple(map(Place._make, places)))


Found = tuple[str | None, int | None, int | None]
"""What is known of an image: the reason why it cannot be used, if any, its width and its height.

Its pixels are in the ring, zeros if there is a reason.
"""

UNREAD: Found = (None, None, None)
"""Stands for an image that may be tried again."""


class Answer(NamedTuple):
    """The images of a request in order."""

    found: Sequence[Found]
    seconds: dict[str, float]
    memory: int
    """The most that the reader has held, in bytes."""
    error: Exception | None = None
    """Why an image may be tried again, if one may."""

    def to_bytes(self) -> bytes:
        """Return bytes for a process of the same Python.

        The worker spends its time on them while it holds the interpreter's lock: of plain values,
        ``marshal`` takes a third of what ``pickle`` does, and nothing is made of them image by
        image.
        """
        error = None if self.error is None else pickle.dumps(self.error)
        return marshal.dumps((list(self.found), self.seconds, self.memory, error))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Answer":
        """Inverse of :meth:`to_bytes`."""
        found, seconds, memory, error = marshal.loads(content)
        return cls(found, seconds, memory, None if error is None else pickle.loads(error))
