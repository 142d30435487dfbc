"""Overlay: a picture, perhaps with transparent parts, that is laid over images at some place."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pipeline.errors import ConfigError

_NINE = ("tl", "top", "tr", "left", "centre", "right", "bl", "bottom", "br")
PLACES = {name: (number % 3 / 2, number // 3 / 2) for number, name in enumerate(_NINE)}
"""Name → where the free room is divided, from the left and from the top."""

ANYWHERE = "anywhere"
WHOLE = "whole"


@dataclass(frozen=True)
class Overlay:
    """A picture to lay over images.

    ``pixels`` (h, w, 4) uint8 are its colours and opacity. ``place`` is a key of ``PLACES``,
    ``anywhere`` (another place in every image) or ``whole`` (stretched over the image). ``size`` is
    its longer side as a share of the image's shorter side, ``opacity`` that of what is opaque.
    """

    name: str
    pixels: Tensor
    place: str
    size: float
    opacity: float

    def __call__(self, images: Tensor) -> Tensor:
        """Return images (n, 3, H, W) uint8 with the overlay; the same for the same images."""
        picture = self._fitted(images.shape[2], images.shape[3])
        colours, alpha = picture[:3], self.opacity * picture[3] / 255
        height, width = picture.shape[1:]
        random = np.random.default_rng(0)
        changed = images.clone()
        for image in changed:
            right, down = PLACES.get(self.place) or random.random(2)
            y = round(down * (image.shape[1] - height))
            x = round(right * (image.shape[2] - width))
            spot = image[:, y : y + height, x : x + width]
            mixed = spot.float() + alpha * (colours - spot.float())
            spot.copy_(mixed.round().clamp(0, 255).to(torch.uint8))
        return changed

    @property
    def description(self) -> str:
        """What is done, with all that was assumed."""
        where = "over the whole image" if self.place == WHOLE else f"at {self.place}"
        side = "" if self.place == WHOLE else f", {self.size:.0%} of the shorter side"
        return f"{self.name} {where}{side}, {self.opacity:.0%} opaque"

    def _fitted(self, height: int, width: int) -> Tensor:
        """Return the picture (4, h, w) float32 in the pixels of an image."""
        image = Image.fromarray(self.pixels.numpy(), "RGBA")
        if self.place == WHOLE:
            size = (width, height)
        else:
            scale = self.size * min(height, width) / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        fitted = np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float32)
        return torch.from_numpy(fitted.copy()).permute(2, 0, 1)


def load_overlay(
    file: Path, place: str = WHOLE, size: float = 0.2, opacity: float = 1.0
) -> Overlay:
    """Read an overlay.

    Raises
    ------
    ConfigError
        The file is no image, there is no such place, or the size or opacity is not in (0, 1].
    """
    if place not in (*PLACES, ANYWHERE, WHOLE):
        known = ", ".join((*PLACES, ANYWHERE, WHOLE))
        raise ConfigError(f"there is no place {place!r}; choose {known}")
    for name, value in (("size", size), ("opacity", opacity)):
        if not 0 < value <= 1:
            raise ConfigError(f"the {name} of an overlay is in (0, 1], not {value:g}")
    try:
        with Image.open(file) as image:
            pixels = np.array(ImageOps.exif_transpose(image).convert("RGBA"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ConfigError(f"cannot read the overlay {file}: {error}") from error
    return Overlay(file.name, torch.from_numpy(pixels), place, size, opacity)
