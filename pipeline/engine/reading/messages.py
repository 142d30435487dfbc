"""The messages between a worker and its reader processes."""

import json
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


class Request(NamedTuple):
    """Images to be read in order: the first goes to ``first`` of the ring's ``slot``."""

    slot: int
    first: int
    places: tuple[Place, ...]


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
