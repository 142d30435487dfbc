"""Pairs: two images of a class that have the same at the same pixels, wherever that is.

What few images carry is diluted in any group of images that is not made of them, and two images are
enough to see it: in some window their edges agree at many pixels. So all pairs are compared in all
windows, and the ones that agree most are where :mod:`~.carriers` starts from.
"""

from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.estimates.carriers import STRONGEST
from pipeline.audit.screening.estimates.overlay import edges

Pair = tuple[int, int]

_FINEST = 80
"""Pixels of a side at which pairs are compared, up to twice as many: a shift by one is forgiven."""

_WINDOWS = 5
"""Windows along a side; each overlaps the next by half."""

_FAINT = 100.0
"""Product of edges, in levels², below which there is hardly any."""


def agreement(images: Tensor) -> Tensor:
    """Return how much each pair of images (n, 3, H, W) uint8 agrees where it agrees most, (n, n).

    It is the sum of the products of their edges over its standard deviation if every product had a
    random sign: about the root of the number of edges that they share. The diagonal is 0.
    """
    coarser = max(1, min(images.shape[2:]) // _FINEST)
    found = edges(functional.avg_pool2d(images.float(), coarser)).clamp(-STRONGEST, STRONGEST)
    side = max(2, min(found.shape[2:]) // _WINDOWS)
    windows = functional.unfold(found, side, stride=side // 2).permute(2, 0, 1)
    squares = windows.square()
    chance = (squares @ squares.mT).sqrt() + _FAINT
    agreed: Tensor = (windows @ windows.mT / chance).amax(0)
    return agreed.fill_diagonal_(0)


def pairs(images: Tensor, most: int) -> list[Pair]:
    """Return at most ``most`` pairs of images that agree most, no image in two of them."""
    left = agreement(images)
    found: list[Pair] = []
    while len(found) < min(most, len(images) // 2):
        one, other = divmod(int(left.argmax()), len(left))
        found.append((min(one, other), max(one, other)))
        for place in (one, other):
            left[place] = left[:, place] = -1
    return found
