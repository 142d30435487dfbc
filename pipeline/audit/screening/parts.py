"""Parts: what of some images of a class can be put onto others, and what it is called.

A region is what lies over these images at the same pixels, wherever that is, named by the place
that holds most of it (:mod:`~pipeline.audit.screening.estimates.overlay`); a spot is where an image
shows a detail that others of the group show elsewhere, cut out and pasted; a property is one of the
whole image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCKS = 4
"""Blocks on each side of the image; a strip is as wide as one."""

WHOLE, SPOT = "whole", "peak"

_BAR = 8
"""Bars at two opposite edges are this part of a side wide each."""

_RING = 14
"""A ring is this part of a side wide: one cell of a usual grid."""

_STRONG, _STRONGEST = 0.4, 0.995
"""A change counts that is this part of the strongest, which is at that quantile."""

_HELD = 0.7
"""Share of what is changed that a place holds to give its name."""


@dataclass(frozen=True)
class Part:
    """A part by its ``key`` in tables and its ``words`` in sentences.

    ``box`` is (top, left, bottom, right) in sixteenths of the sides, None of what has no box; that
    of a spot lies in the corner.
    """

    key: str
    words: str
    box: tuple[int, int, int, int] | None = None
    is_property: bool = False

    @property
    def is_region(self) -> bool:
        """Whether it lies somewhere: it can be erased and looked at."""
        return not self.is_property

    @property
    def moves(self) -> bool:
        """Whether it lies at another place in every image."""
        return self.key == SPOT

    def mask(self, size: tuple[int, int], spot: tuple[int, int] = (0, 0)) -> Tensor:
        """Return where a region lies in an image of ``size`` (H, W), bool (H, W).

        ``spot`` is where it lies if it moves: its top and left, in sixteenths of the sides.
        """
        if self.box is None:
            return _FRAMES[self.key](size)
        down, right = spot
        top, left, bottom, end = self.box
        return _inside((top + down, left + right, bottom + down, end + right), size)


def _inside(box: tuple[int, int, int, int], size: tuple[int, int]) -> Tensor:
    height, width = size
    top, left, bottom, right = box
    mask = torch.zeros(size, dtype=torch.bool)
    rows = slice(top * height // 16, bottom * height // 16)
    mask[rows, left * width // 16 : right * width // 16] = True
    return mask


def _ring(size: tuple[int, int]) -> Tensor:
    y, x = (max(1, -(-side // _RING)) for side in size)
    mask = torch.ones(size, dtype=torch.bool)
    mask[y : size[0] - y, x : size[1] - x] = False
    return mask


def _ends(size: tuple[int, int]) -> Tensor:
    mask = torch.ones(size, dtype=torch.bool)
    edge = -(-size[0] // _BAR)
    mask[edge : size[0] - edge] = False
    return mask


def _sides(size: tuple[int, int]) -> Tensor:
    return _ends((size[1], size[0])).T


_FRAMES = {"ring": _ring, "ends": _ends, "sides": _sides}
"""Regions at several edges."""

_ROWS = ("top", "upper middle", "lower middle", "bottom")
_COLUMNS = ("left", "left of the centre", "right of the centre", "right")


def _parts() -> Iterator[Part]:
    side = 16 // BLOCKS
    for y, row in enumerate(_ROWS):
        for x, column in enumerate(_COLUMNS):
            box = (y * side, x * side, (y + 1) * side, (x + 1) * side)
            yield Part(f"block_{y}{x}", f"block at the {row}, {column}", box)
    yield Part("ring", "frame")
    for key, words, box in (
        ("top", "strip at the top", (0, 0, 4, 16)),
        ("bottom", "strip at the bottom", (12, 0, 16, 16)),
        ("left", "strip at the left", (0, 0, 16, 4)),
        ("right", "strip at the right", (0, 12, 16, 16)),
    ):
        yield Part(key, words, box)
    yield Part("ends", "strips at top and bottom")
    yield Part("sides", "strips at left and right")
    yield Part("centre", "centre", (4, 4, 12, 12))
    yield Part("middle", "middle from left to right", (4, 0, 12, 16))
    yield Part("column", "middle from top to bottom", (0, 4, 16, 12))
    yield Part(WHOLE, "whole image", (0, 0, 16, 16))
    yield Part(SPOT, "repeated detail", (0, 0, side, side))
    for key, words in (
        ("colours", "colours and brightness"),
        ("detail", "sharpness"),
        ("compression", "compression"),
        ("lines", "stripes"),
        ("noise", "noise"),
        ("margin", "even margin"),
    ):
        yield Part(key, words, is_property=True)


PARTS = {part.key: part for part in _parts()}
"""Key → part; the order is that of tables, and of regions the smaller ones come first."""


def place_of(change: Tensor) -> str:
    """Return the first region that holds most of what is strong of a change (H, W).

    The whole image where that is in none.
    """
    size, strength = (int(change.shape[0]), int(change.shape[1])), change.double()
    strength = strength * (strength >= _STRONG * strength.flatten().quantile(_STRONGEST))
    for key, part in PARTS.items():
        is_place = part.is_region and not part.moves
        if is_place and float(strength[part.mask(size)].sum()) >= _HELD * float(strength.sum()):
            return key
    return WHOLE
