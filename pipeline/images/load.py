"""``ImageReader``: one image fetched, decoded and transformed, or the reason why it is unusable.

The only path to an image's pixels: the engine, the audit, the report and the exports all use it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decoding.decode import decode
from pipeline.images.decoding.jpeg_quality import jpeg_quality
from pipeline.images.fetch import Fetcher
from pipeline.images.reasons import Reason, Unusable
from pipeline.images.transform import InputTransform

Timed = Callable[[str], AbstractContextManager[None]]
"""Gives a context for each stage: ``fetch``, ``decode``, ``transform``."""


class Place(NamedTuple):
    """Where an image is, from the index; see ``Entry``."""

    uri: str
    offset: int | None
    length: int | None


@dataclass(frozen=True)
class Crop:
    """The model's input, or the reason why there is none; never both.

    ``pixels`` is uint8 (3, H, W) before normalisation; ``width`` and ``height`` are those of the
    upright image, 0 or None where they are not known; ``quality`` is that of a JPEG file.
    """

    pixels: NDArray[np.uint8] | None
    reason: Reason | None
    width: int | None = None
    height: int | None = None
    quality: int | None = None


class ImageReader:
    """Reads images of one dataset as one model's input; safe to share between threads."""

    def __init__(
        self, root: str, transform: InputTransform, max_pixels: int, bit_depth: int | None = None
    ) -> None:
        self.transform = transform
        self._fetcher = Fetcher(root)
        self._max_pixels = max_pixels
        self._bit_depth = bit_depth

    def load(self, place: Place, timed: Timed = lambda _: nullcontext()) -> Crop:
        """Fetch, decode and transform one image; a bad image is a reason, never an error.

        Raises
        ------
        OSError
            A transient failure, such as a store that does not respond: trying again may help.
        """
        return self.crop(self.fetch(place, timed), timed)

    def fetch(self, place: Place, timed: Timed = lambda _: nullcontext()) -> bytes | Reason:
        """Return the bytes of an image, or the reason why there are none; raises as ``load``."""
        try:
            with timed("fetch"):
                return self._fetcher.fetch(*place)
        except FileNotFoundError:
            return Reason.MISSING
        except Unusable as verdict:
            return verdict.reason

    def is_remote(self, place: Place) -> bool:
        """Whether fetching an image waits for an object store."""
        return self._fetcher.is_remote(place.uri)

    def crop(self, content: bytes | Reason, timed: Timed = lambda _: nullcontext()) -> Crop:
        """Decode and transform what ``fetch`` returned."""
        if isinstance(content, Reason):
            return Crop(None, content)
        with timed("decode"):
            decoded = decode(content, self._max_pixels, self._bit_depth)
        if decoded.frame is None:
            return Crop(None, decoded.reason, decoded.width, decoded.height)
        with timed("transform"):
            pixels = self.transform(decoded.frame)
        return Crop(pixels, None, decoded.width, decoded.height, jpeg_quality(content))
