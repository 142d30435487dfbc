"""Rarity: do other classes have images with as much of a property as the carriers have?

Sharpness, noise or ranges of colours differ from image to image in every class, and those images of
a class whose property works are those that have much of it. That is nothing that they share. But if
a class has more such images than all others, something was done to them.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

Float = NDArray[np.float64]


def rarity(own: Float, carriers: tuple[int, ...], others: Float) -> tuple[float, float]:
    """Return how common the property is elsewhere, and how likely the class is to have it so often.

    Parameters
    ----------
    own
        Strength in every donor of the class, (D,).
    carriers
        Positions of those whose property works.
    others
        Strength in images of other classes, (N,).

    Returns
    -------
    (share, p)
        Share of the others that have at least as much as three of four carriers; the one-sided
        exact test of Fisher that the class has more images like these.
    """
    if not len(others):
        return 1.0, 1.0
    # One of the carriers may have been taken for one by chance.
    much = float(np.quantile(own[list(carriers)], 0.25, method="lower"))
    here, there = int((own >= much).sum()), int((others >= much).sum())
    table = [[here, len(own) - here], [there, len(others) - there]]
    return there / len(others), float(fisher_exact(table, alternative="greater").pvalue)
