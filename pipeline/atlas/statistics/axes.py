"""Principal axes of classes, and how alike the mean maps of classes are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AXES = 3
"""Principal axes that are kept."""

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Axes:
    """Principal axes of the pooled accumulated maps of K classes; NaN where a class has too few.

    ``mean`` (K, cells) sums to 1; ``axes`` (K, 3, cells) are orthonormal, the sign such that the
    largest component is positive; ``variance`` (K, 3) along them; ``explained`` (K, 3) is its
    share of all variance; ``reliability`` (K,) is the correlation of the mean maps of two random
    halves of the class, each less the mean of all classes, stepped up to the whole class
    (Spearman 1910, Brown 1910).
    """

    mean: Float
    axes: Float
    variance: Float
    explained: Float
    reliability: Float


def centred(means: Float) -> Float:
    """Return class means (K, cells) less that of all classes, each of length 1 and mean 0."""
    known = ~np.isnan(means).any(axis=1)
    apart = means - means[known].mean(axis=0) if known.any() else means.copy()
    apart -= apart.mean(axis=1, keepdims=True)
    length = np.sqrt((apart * apart).sum(axis=1, keepdims=True))
    unit: Float = apart / np.where(length > 0, length, np.nan)
    return unit


def similarity(means: Float, reliability: Float) -> Float:
    """Return how alike the mean maps of classes are, (K, K) in [-1, 1].

    The correlation of what sets the mean maps (K, cells) apart from the mean of all classes,
    divided by the geometric mean of both reliabilities: few images make means noisy, and noise
    makes any two classes look unlike (Spearman 1904). NaN where a class is not reliable at all.
    """
    unit = centred(means)
    root = np.sqrt(np.where(reliability > 0, reliability, np.nan))
    alike: Float = np.clip(unit @ unit.T / np.outer(root, root), -1, 1)
    return alike
