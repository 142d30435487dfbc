"""Rarity: have other images as much of something as some images of a class have?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Rarity:
    """``carriers`` are positions of images of a class with more of a property than others have.

    ``left`` is the share of images of other classes with as much, ``chance`` how likely it is that
    the class has so many more by chance: Fisher's exact test, times the thresholds tried.
    """

    carriers: tuple[int, ...]
    left: float
    chance: float

    def chosen_from(self, number: int) -> "Rarity":
        """Return the same of the rarest of ``number`` groups: the first of many is no surprise."""
        return replace(self, chance=min(1.0, self.chance * max(1, number)))


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
