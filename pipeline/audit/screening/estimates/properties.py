"""Properties as numbers: which images of a class have one that other classes rarely have?

Sharpness, noise or colours differ from image to image in every class. But if a class has more
images with much of a property than all others, something was done to them, or the class is so by
nature.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import hypergeom
from torch import Tensor

from pipeline.audit.screening.estimates import transfers
from pipeline.audit.screening.estimates.carriers import MOST

Float = NDArray[np.float64]

_TAIL = 0.005
"""Share of pixels that may lie beyond the range of a channel: specks and noise."""

_EVERY = 3
"""Of so many pixels one is looked at for the range of colours."""

COLUMNS = (
    *(("colours", name) for name in ("low red", "low green", "low blue")),
    *(("colours", name) for name in ("high red", "high green", "high blue")),
    *(("colours", name) for name in ("brightness", "red", "blue", "saturation")),
    *(("detail", name) for name in ("finest", "fine")),
    *((key, key) for key in ("noise", "compression", "lines", "margin")),
)
"""Part and name of every number that :func:`measured` returns."""

_BOTH_WAYS = {"brightness", "red", "blue", "finest", "fine"}
_DOWN = {"high red", "high green", "high blue", "saturation"}


@dataclass(frozen=True)
class Rarity:
    """``carriers`` are positions of images of a class with more of a property than others have.

    ``left`` is the share of images of other classes with as much, ``chance`` how likely it is that
    the class has so many more by chance: Fisher's exact test, times the thresholds tried.
    """

    carriers: tuple[int, ...]
    left: float
    chance: float


def measured(images: Tensor) -> Float:
    """Return the numbers of ``COLUMNS`` of images (n, 3, H, W) uint8, (n, C)."""
    return np.array([_of_one(image) for image in images]).reshape(len(images), len(COLUMNS))


def _of_one(image: Tensor) -> list[float]:
    pixels = image.float()
    flat = pixels.flatten(1)
    ends = torch.tensor([_TAIL, 1 - _TAIL])
    low, high = flat[:, ::_EVERY].quantile(ends, 1)
    red, green, blue = flat.mean(1).tolist()
    grey = torch.full_like(image, 127)[None]
    top, bottom, left, right = transfers.margins_of(pixels)
    height, width = image.shape[1:]
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
    ]


def rarest(own: Float, others: Float) -> dict[str, Rarity]:
    """Return for every part of ``COLUMNS`` the property that sets a class apart most.

    ``own`` (n, C) and ``others`` (N, C) are numbers of images of a class and of the others.
    """
    found: dict[str, Rarity] = {}
    for place, (key, name) in enumerate(COLUMNS):
        ways = (1, -1) if name in _BOTH_WAYS else (-1,) if name in _DOWN else (1,)
        for way in ways:
            one = above(way * own[:, place], way * others[:, place], _sizes(len(own)))
            if key not in found or one.chance < found[key].chance:
                found[key] = one
    return found


def _sizes(number: int) -> list[int]:
    """Return how many of a class may carry a property: each number a quarter larger, at least 2."""
    found = [2]
    while (size := max(found[-1] + 1, found[-1] * 5 // 4)) <= MOST * number:
        found.append(size)
    return found


def above(own: Float, others: Float, sizes: Sequence[int]) -> Rarity:
    """Return how rare what the first images of a class have is elsewhere; the best of ``sizes``."""
    order = np.argsort(-own, kind="stable")
    best = Rarity((), 1.0, 1.0)
    for size in sizes:
        least = own[order[size - 1]]
        if size < len(own) and own[order[size]] == least:
            continue
        there = int((others >= least).sum())
        total, much = len(own) + len(others), size + there
        chance = float(hypergeom.sf(size - 1, total, much, len(own))) * len(sizes)
        if chance < best.chance:
            carriers = tuple(sorted(order[:size].tolist()))
            best = Rarity(carriers, there / max(1, len(others)), chance)
    return best
