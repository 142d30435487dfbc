"""Properties as numbers: which images of a class have one that other classes rarely have?

Sharpness, noise or colours differ from image to image in every class. But if a class has more
images with much of a property than all others, something was done to them, or the class is so by
nature.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audit.screening.estimates import transfers
from pipeline.audit.screening.estimates.carriers import MOST
from pipeline.audit.screening.estimates.combined import combined
from pipeline.audit.screening.estimates.rarity import Rarity, above
from pipeline.audit.screening.estimates.sharpness import bands

Float = NDArray[np.float64]

_TAIL = 0.005
"""Share of pixels that may lie beyond the range of a channel: specks and noise."""

_EVERY = 3
"""Of so many pixels one is looked at for the range of colours."""

_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of a channel that describe its curve."""

_CLIPPED = 2
"""Levels from the end of the range within which a pixel counts as clipped."""

_LEAST_SHARE = 0.01
"""Share of clipped pixels below which there are hardly any."""

_BANDS = 8
"""Bands of frequencies that describe an image's sharpness."""

_ALONE = (
    *(("colours", name) for name in ("low red", "low green", "low blue")),
    *(("colours", name) for name in ("high red", "high green", "high blue")),
    *(("colours", name) for name in ("brightness", "red", "blue", "saturation")),
    *(("detail", name) for name in ("finest", "fine")),
    *((key, key) for key in ("noise", "compression", "lines", "margin")),
)
"""Part and name of the numbers that say something by themselves."""

COLUMNS = (
    *_ALONE,
    *(("colours", f"{colour} at {at}") for at in _LEVELS for colour in ("red", "green", "blue")),
    *(("colours", name) for name in ("black", "white")),
    *(("detail", f"band {band}") for band in range(_BANDS)),
)
"""Part and name of every number that :func:`measured` returns."""

_BOTH_WAYS = {"brightness", "red", "blue", "finest", "fine"}
_DOWN = {"high red", "high green", "high blue", "saturation"}


def measured(images: Tensor) -> Float:
    """Return the numbers of ``COLUMNS`` of images (n, 3, H, W) uint8, (n, C)."""
    return np.array([_of_one(image) for image in images]).reshape(len(images), len(COLUMNS))


def _of_one(image: Tensor) -> list[float]:
    pixels = image.float()
    flat = pixels.flatten(1)
    ends = torch.tensor([_TAIL, 1 - _TAIL, *_LEVELS])
    low, high, *levels = flat[:, ::_EVERY].quantile(ends, 1)
    red, green, blue = flat.mean(1).tolist()
    grey = torch.full_like(image, 127)[None]
    top, bottom, left, right = transfers.margins_of(pixels)
    height, width = image.shape[1:]
    clipped = (flat.amax(0) <= _CLIPPED, flat.amin(0) >= 255 - _CLIPPED)
    return [
        *low.tolist(),
        *high.tolist(),
        (red + green + blue) / 3,
        red - green,
        blue - green,
        float(transfers.strongest(image[None])[0]),
        *transfers.fineness(pixels[None])[:, 0].clamp(min=1e-3).log().tolist(),
        float(transfers.noise_of(pixels).diagonal().amin().sqrt()),
        transfers.blockiness(image),
        float((transfers.with_lines(grey, image[None]).float() - 127).abs().mean()),
        min(top / height, bottom / height, left / width, right / width),
        *torch.cat(levels).tolist(),
        *(float((part.float().mean() + _LEAST_SHARE).log()) for part in clipped),
        *bands(image[None], _BANDS)[0].tolist(),
    ]


def rarest(own: Float, others: Float, starts: Sequence[Sequence[int]] = ()) -> dict[str, Rarity]:
    """Return for every part of ``COLUMNS`` the group that sets a class apart most.

    By one number, or by all of a part together, from some groups to start with. ``own`` (n, C) and
    ``others`` (N, C) are numbers of images of a class and of the others.
    """
    found: dict[str, Rarity] = {}
    for place, (key, name) in enumerate(_ALONE):
        ways = (1, -1) if name in _BOTH_WAYS else (-1,) if name in _DOWN else (1,)
        for way in ways:
            one = above(way * own[:, place], way * others[:, place], _sizes(len(own)))
            if key not in found or one.chance < found[key].chance:
                found[key] = one
    for key in ("colours", "detail"):
        places = [place for place, (part, _) in enumerate(COLUMNS) if part == key]
        first = [*starts, found[key].carriers]
        one = combined(own[:, places], others[:, places], first)
        if one.chance < found[key].chance:
            found[key] = one
    return found


def _sizes(number: int) -> list[int]:
    """Return how many of a class may carry a property: each number a quarter larger, at least 2."""
    found = [2]
    while (size := max(found[-1] + 1, found[-1] * 5 // 4)) <= MOST * number:
        found.append(size)
    return found
