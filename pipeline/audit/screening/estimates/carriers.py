"""Carriers: the images of a class that share a pattern at the same pixels, gathered from a start.

A start is a guess: a few images that lie together in the class. The edges that they share make a
pattern; the images that hold most of it make the next guess. Where the guess holds carriers of an
overlay this ends with all of them, else anywhere; how much each image holds of a pattern that it
had no part in separates the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.estimates.overlay import FAINT, edges

Float = NDArray[np.float64]

Move = tuple[int, int]
"""Pixels down and to the right, at the size at which patterns are compared."""

REACH = 1
"""Pixels by which a pattern may be moved from image to image, in each direction."""

LEAST, MOST = 2, 0.6
"""Images that a group has at least, and the share of a class that it has at most."""

_FINEST = 80
"""Pixels of a side at which patterns are compared, up to twice as many."""

STRONGEST = 64.0
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
    return found.clamp(-STRONGEST, STRONGEST)


def gathered(own: Tensor, start: Sequence[int]) -> Gathered:
    """Gather carriers among images with :func:`comparable` edges (n, 6, h, w) from a start."""
    compared = _Compared.of(own)
    chosen, moved = sorted(start), [(0, 0)] * len(own)
    for _ in range(_STEPS):
        held, moved = _held(compared, chosen, moved)
        found = upper(held)
        if found == chosen:
            break
        chosen = found
    held, moved = _held(compared, chosen, moved)
    pattern = compared.pattern(_aligned(own, chosen, moved).sum(0), len(chosen), chosen)
    return Gathered(tuple(chosen), held, pattern, tuple(moved[place] for place in chosen))


def widened(edges: Tensor) -> Tensor:
    """Return edges (n, 6, h, w) with a margin in which a pattern may be moved, whole levels."""
    return _widened(edges).round().to(torch.int8)


def holds(wide: Tensor, pattern: Tensor) -> Float:
    """Return how much of a pattern (6, h, w) images hold whose edges are :func:`widened`, (n,)."""
    return _best(wide, pattern)[0]


def aligned(images: Tensor, moves: Sequence[Move]) -> Tensor:
    """Return images (g, 3, H, W) moved so that what they share lies at the same pixels."""
    pairs = zip(images, moves, strict=True)
    return torch.stack([image.roll(move, (1, 2)) for image, move in pairs])


@dataclass(frozen=True)
class _Compared:
    """Edges ``own`` of a class, with a margin ``wide``, and what is needed of all of them."""

    own: Tensor
    wide: Tensor
    total: Tensor
    precision: Tensor

    @classmethod
    def of(cls, own: Tensor) -> "_Compared":
        spread = own.std(0, correction=0).clamp(min=FAINT)
        return cls(own, _widened(own), own.sum(0), spread.square().reciprocal())

    def rest(self, chosen: Sequence[int]) -> Tensor:
        """Return the mean edges of all that are not chosen."""
        return (self.total - self.own[list(chosen)].sum(0)) / (len(self.own) - len(chosen))

    def pattern(
        self, inside: Tensor, number: int, chosen: Sequence[int], rest: Tensor | None = None
    ) -> Tensor:
        """Return what of the sum of ``number`` images is clear against all that are not chosen."""
        shared = inside / number - (self.rest(chosen) if rest is None else rest)
        strength = (shared.square() * self.precision).view(-1, 3, *shared.shape[1:]).sum(1)
        there = strength > 3 * _CLEAR**2 / number
        return shared.view(-1, 3, *shared.shape[1:]).mul(there[:, None]).view_as(shared)


def _held(
    compared: _Compared, chosen: Sequence[int], moved: Sequence[Move]
) -> tuple[Float, list[Move]]:
    """Return how much each image holds of the pattern that the others of the group make.

    And how it is moved to hold most of it.
    """
    group, size = _aligned(compared.own, chosen, moved), len(chosen)
    inside, rest = group.sum(0), compared.rest(chosen)
    found, moves = _best(compared.wide, compared.pattern(inside, size, chosen, rest))
    for place, one in zip(chosen, group, strict=True):
        pattern = compared.pattern(inside - one, size - 1, chosen, rest)
        here = compared.own[place].roll(moves[place], (1, 2))
        found[place] = float((here * pattern).sum() / pattern.square().sum().clamp(min=_ENERGY))
    return found, moves


def _widened(images: Tensor) -> Tensor:
    return functional.pad(images, [REACH] * 4)


def _best(wide: Tensor, pattern: Tensor) -> tuple[Float, list[Move]]:
    """Return how much of a pattern images with a margin hold at the best of small moves, and these.

    A pattern is empty at most pixels, so that only the others are looked up.
    """
    _, height, width = pattern.shape
    there = pattern.flatten().nonzero()[:, 0]
    weights = pattern.flatten()[there]
    channel, place = there // (height * width), there % (height * width)
    row = (channel * wide.shape[2] + place // width) * wide.shape[3] + place % width
    flat, ways = wide.flatten(1), 2 * REACH + 1
    met = [
        flat.index_select(1, row + down * wide.shape[3] + right).to(weights.dtype) @ weights
        for down, right in product(range(ways), repeat=2)
    ]
    share = torch.stack(met, 1).double() / weights.square().sum().clamp(min=_ENERGY)
    best = share.max(1)
    moves = [(REACH - at // ways, REACH - at % ways) for at in best.indices.tolist()]
    return best.values.numpy(), moves


def _aligned(own: Tensor, chosen: Sequence[int], moved: Sequence[Move]) -> Tensor:
    return torch.stack([own[place].roll(moved[place], (1, 2)) for place in chosen])


def upper(held: Float) -> list[int]:
    """Return the positions above the threshold that separates values best (Otsu, 1979)."""
    order = np.argsort(-held, kind="stable")
    values, number = held[order].round(6), len(held)
    sizes = np.arange(LEAST, max(LEAST, int(MOST * number)) + 1)
    sums = values.cumsum()
    apart = sums[sizes - 1] / sizes - (sums[-1] - sums[sizes - 1]) / (number - sizes)
    best = int(sizes[(sizes * (number - sizes) * apart**2).argmax()])
    return sorted(order[:best].tolist())
