"""What the model saw of a row: its image, read again and cropped as for the model."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.images import Fetcher, InputTransform, decode
from pipeline.store import Run

Place = tuple[str, int | None, int | None]
"""uri, offset, length."""


@dataclass(frozen=True)
class Crop:
    """The model's input (3, H, W) uint8, or the reason why it cannot be read now."""

    pixels: NDArray[np.uint8] | None
    problem: str | None


class CropReader:
    """Reads the images of a run; safe to share between threads."""

    def __init__(self, run: Run) -> None:
        self._fetcher = Fetcher(run.spec.root)
        self._transform = InputTransform.from_dict(run.spec.input)
        self._max_pixels = run.config.limits.max_pixels

    def read(self, place: Place) -> Crop:
        """Read one image; a store that does not answer is a problem too, not an error."""
        try:
            data = self._fetcher.fetch(*place)
        except FileNotFoundError:
            return Crop(None, "missing")
        except OSError:
            return Crop(None, "unreachable")
        decoded = decode(data, self._max_pixels)
        if decoded.image is None:
            return Crop(None, decoded.reason)
        return Crop(self._transform(decoded.image), None)


def read_places(run: Run, rows: Iterable[int]) -> dict[int, Place]:
    """Return where the images of ``rows`` are, by row."""
    wanted = sorted(set(rows))
    found = run.index_take(wanted).to_pylist()
    return {
        row: (place["uri"], place["offset"], place["length"])
        for row, place in zip(wanted, found, strict=True)
    }
