"""Sprites: maps as small images on the model's own grid, one cell one pixel."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.report.pictures.palettes import INFERNO

_GUTTER = 1  # cells repeated around a tile, so that scaling never shows its neighbour


@dataclass(frozen=True)
class Sprite:
    """Many equally large maps in one image; CSS shows one of them at a time."""

    content: bytes
    """Lossless WebP."""
    rows: int
    columns: int
    grid: tuple[int, int]
    """Cells (h, w) of a map."""

    @property
    def size(self) -> str:
        """The CSS ``background-size`` of an element that shows one map."""
        height, width = self.grid
        return (
            f"{_percent(self.columns * (width + 2 * _GUTTER) / width)} "
            f"{_percent(self.rows * (height + 2 * _GUTTER) / height)}"
        )

    def position(self, index: int) -> str:
        """Return the CSS ``background-position`` that shows map ``index`` (counted along rows)."""
        row, column = divmod(index, self.columns)
        height, width = self.grid
        return f"{_offset(column, self.columns, width)} {_offset(row, self.rows, height)}"


def _offset(index: int, count: int, cells: int) -> str:
    """Place a tile: CSS percentages refer to what the image is larger than the element."""
    step = (cells + 2 * _GUTTER) / cells
    return _percent((index * step + _GUTTER / cells) / (count * step - 1))


def _percent(share: float) -> str:
    return f"{100 * share:.4f}".rstrip("0").rstrip(".") + "%"


def sprite(levels: NDArray[np.uint8], columns: int, palette: NDArray[np.uint8] = INFERNO) -> Sprite:
    """Put maps into one image, ``columns`` beside each other.

    Parameters
    ----------
    levels : uint8 (M, h, w)
        0..255, positions on ``palette``.
    columns : int
        Maps in a row; the last row may be shorter.
    palette : uint8 (256, 3) or (256, 4)
        Colours of the levels, with an opacity where there are four.
    """
    count, height, width = levels.shape
    rows = -(-count // columns)
    padded = np.pad(levels, ((0, 0), (_GUTTER, _GUTTER), (_GUTTER, _GUTTER)), mode="edge")
    filled = np.zeros((rows * columns, *padded.shape[1:]), np.uint8)
    filled[:count] = padded
    table = filled.reshape(rows, columns, *padded.shape[1:]).transpose(0, 2, 1, 3)
    pixels = palette[table.reshape(rows * padded.shape[1], columns * padded.shape[2])]
    return Sprite(webp(Image.fromarray(pixels), lossless=True), rows, columns, (height, width))


def levels(values: NDArray[np.floating], bright: float) -> NDArray[np.uint8]:
    """Scale non-negative values to 0..255; from ``bright`` on they are 255.

    Values that are not finite, and everything if ``bright`` is 0, become 0.
    """
    finite = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if not bright > 0:
        return np.zeros(finite.shape, np.uint8)
    return np.rint(np.clip(finite / bright, 0, 1) * 255).astype(np.uint8)


def signed_levels(values: NDArray[np.floating], limit: float) -> NDArray[np.uint8]:
    """Scale values to 0..255 with 0 at 128; beyond ``limit`` either way they are 1 and 255.

    Values that are not finite, and everything if ``limit`` is 0, become 128.
    """
    finite = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if not limit > 0:
        return np.full(finite.shape, 128, np.uint8)
    return (128 + np.rint(np.clip(finite / limit, -1, 1) * 127)).astype(np.uint8)


def webp(image: Image.Image, *, lossless: bool = False) -> bytes:
    """Encode an image; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=lossless, quality=72, method=4)
    return buffer.getvalue()
