"""The messages between a worker and its reader processes."""

import json
import marshal
import pickle
from collections.abc import Mapping
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


class Found(NamedTuple):
    """What is known of an image whose pixels are in the ring (zeros if there is a reason)."""

    reason: str | None
    width: int | None
    height: int | None


class Answer(NamedTuple):
    """The images of a request in order, an exception for each that may be tried again."""

    found: tuple[Found | Exception, ...]
    seconds: dict[str, float]
    memory: int
    """The most that the reader has held, in bytes."""

    def to_bytes(self) -> bytes:
        """Return bytes for a process of the same Python.

        The worker spends its time on them while it holds the interpreter's lock: of plain values,
        ``marshal`` takes a third of what ``pickle`` does.
        """
        found = [tuple(one) if isinstance(one, Found) else pickle.dumps(one) for one in self.found]
        return marshal.dumps((found, self.seconds, self.memory))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Answer":
        """Inverse of :meth:`to_bytes`."""
        found, seconds, memory = marshal.loads(content)
        each = [Found._make(one) if isinstance(one, tuple) else pickle.loads(one) for one in found]
        return cls(tuple(each), seconds, memory)
