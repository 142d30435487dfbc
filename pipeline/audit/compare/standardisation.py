"""Standardisation: two runs as they would be if both had the same class mix.

Two data sets with the same behaviour in every class, but other shares of the classes, have other
distributions over all images. So the images of the other run are weighted until its classes have
the shares that they have in the first (direct standardisation): with n_c and m_c images of class c,
w_c = n_c / n and G_c the other's distribution in c, the other's is the sum of w_c G_c over the
classes with images in both, and the first's is that of its images of these classes, unweighted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Counts = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class Standardised:
    """Two histograms (bins,) for the same class mix; each sums to its ``effective`` images.

    ``weights`` (K,) sum to 1 and are 0 where one of the runs has no image of the class; ``images``
    and ``other_images`` are of these ``classes``. An image that is weighted up is worth less than
    one: the other's ``other_effective`` number is 1 / sum(w_c² / m_c) (Kish, Survey Sampling,
    1965), its number of images where nothing had to be weighted, else fewer.
    """

    weights: Float
    counts: Float
    other_counts: Float
    images: int
    other_images: int
    effective: float
    other_effective: float
    classes: int


def standardise(one: Counts, other: Counts) -> Standardised | None:
    """Standardise the other's histograms (K, bins) to the class mix of the first.

    None if no class has images in both.
    """
    n, m = one.sum(1), other.sum(1)
    held = (n > 0) & (m > 0)
    if not held.any():
        return None
    weights = np.where(held, n, 0) / n[held].sum()
    shares = other[held] / m[held, None]
    worth = float(1 / (weights[held] ** 2 / m[held]).sum())
    return Standardised(
        weights=weights,
        counts=one[held].sum(0).astype(np.float64),
        other_counts=worth * (weights[held] @ shares),
        images=round(float(n[held].sum())),
        other_images=round(float(m[held].sum())),
        effective=float(n[held].sum()),
        other_effective=worth,
        classes=int(held.sum()),
    )
