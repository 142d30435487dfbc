"""Carriers: the images of a class that share a pattern at the same pixels, gathered from a start.

A start is a guess: a few images that lie together in the class. The edges that they share make a
pattern; the images that hold most of it make the next guess. Where the guess holds carriers of an
overlay this ends with all of them, else anywhere; how much each image holds of a pattern that it
had no part in separates the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.estimates.overlay import clear, edges

Float = NDArray[np.float64]

Move = tuple[int, int]
"""Pixels down and to the right, at the size at which patterns are compared."""

REACH = 2
"""Pixels by which a pattern may be moved from image to image, in each direction."""

LEAST, MOST = 2, 0.6
"""Images that a group has at least, and the share of a class that it has at most."""

_FINEST = 112
"""Pixels of a side at which patterns are compared, up to twice as many."""

_STRONGEST = 64.0
"""Difference of neighbouring pixels, of 255 levels, above which edges count as equally strong."""

_CLEAR = 2.5
"""Standard errors by which a mean edge must differ from none to be one of a pattern."""

_STEPS = 8

_ENERGY = 1e3
"""Square sum of a pattern's edges below which there is hardly any."""


@dataclass(frozen=True)
class Gathered:
    """``carriers`` are positions of images of the class.

    ``held`` (n,) is how much each image holds of the pattern that the other carriers make: about 1
    with it and 0 without; ``pattern`` (6, h, w) are its edges. ``moves`` bring those of the
    carriers to the same pixels.
    """

    carriers: tuple[int, ...]
    held: Float
    pattern: Tensor
    moves: tuple[Move, ...]


def coarseness(images: Tensor) -> int:
    """Return how many pixels of a side of images (n, 3, H, W) are compared as one."""
    return max(1, min(images.shape[2:]) // _FINEST)


def comparable(images: Tensor) -> Tensor:
    """Return edges (n, 6, h, w) of images (n, 3, H, W) uint8 as they are compared."""
    found = edges(functional.avg_pool2d(images.float(), coarseness(images)))
    return found.clamp(-_STRONGEST, _STRONGEST)


def gathered(own: Tensor, start: Sequence[int]) -> Gathered:
    """Gather carriers among images with :func:`comparable` edges (n, 6, h, w) from a start."""
    spread = own.std(0, correction=0)
    chosen, moved = sorted(start), [(0, 0)] * len(own)
    for _ in range(_STEPS):
        held, moved = _held(own, spread, chosen, moved)
        found = _upper(held)
        if found == chosen:
            break
        chosen = found
    held, moved = _held(own, spread, chosen, moved)
    pattern = _pattern(_aligned(own, chosen, moved).mean(0), own, chosen, spread, len(chosen))
    return Gathered(tuple(chosen), held, pattern, tuple(moved[place] for place in chosen))


def holds(images: Tensor, pattern: Tensor) -> Float:
    """Return how much of a pattern (6, h, w) images with edges (n, 6, h, w) hold, (n,)."""
    return _best(images, pattern)[0]


def aligned(images: Tensor, moves: Sequence[Move]) -> Tensor:
    """Return images (g, 3, H, W) moved so that what they share lies at the same pixels."""
    pairs = zip(images, moves, strict=True)
    return torch.stack([image.roll(move, (1, 2)) for image, move in pairs])


def _held(
    own: Tensor, spread: Tensor, chosen: Sequence[int], moved: Sequence[Move]
) -> tuple[Float, list[Move]]:
    """Return how much each image holds of the pattern that the others of the group make.

    And how it is moved to hold most of it.
    """
    group, size = _aligned(own, chosen, moved), len(chosen)
    inside = group.sum(0)
    found, moves = _best(own, _pattern(inside / size, own, chosen, spread, size))
    for place, one in zip(chosen, group, strict=True):
        pattern = _pattern((inside - one) / (size - 1), own, chosen, spread, size - 1)
        held, move = _best(own[place : place + 1], pattern)
        found[place], moves[place] = held[0], move[0]
    return found, moves


def _best(images: Tensor, pattern: Tensor) -> tuple[Float, list[Move]]:
    """Return how much of a pattern images hold at the best of small moves, and these."""
    met = functional.conv2d(functional.pad(images, [REACH] * 4), pattern[None])[:, 0]
    share = met.flatten(1).double() / pattern.square().sum().clamp(min=_ENERGY)
    best = share.max(1)
    wide = 2 * REACH + 1
    moves = [(REACH - place // wide, REACH - place % wide) for place in best.indices.tolist()]
    return best.values.numpy(), moves


def _aligned(own: Tensor, chosen: Sequence[int], moved: Sequence[Move]) -> Tensor:
    return torch.stack([own[place].roll(moved[place], (1, 2)) for place in chosen])


def _pattern(
    mean: Tensor, own: Tensor, chosen: Sequence[int], spread: Tensor, number: int
) -> Tensor:
    """Return what of the mean of ``number`` images is clear against all that are not chosen."""
    shared = mean - (own.sum(0) - own[list(chosen)].sum(0)) / (len(own) - len(chosen))
    return torch.where(clear(shared, spread, number, _CLEAR), shared, 0)


def _upper(held: Float) -> list[int]:
    """Return the positions above the threshold that separates values best (Otsu, 1979)."""
    order = np.argsort(-held, kind="stable")
    values, number = held[order].round(6), len(held)
    sizes = np.arange(LEAST, max(LEAST, int(MOST * number)) + 1)
    sums = values.cumsum()
    apart = sums[sizes - 1] / sizes - (sums[-1] - sums[sizes - 1]) / (number - sizes)
    best = int(sizes[(sizes * (number - sizes) * apart**2).argmax()])
    return sorted(order[:best].tolist())
