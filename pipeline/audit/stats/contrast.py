"""Contrast: how far each class lies from all the others, robustly, and how significantly.

Every class is compared with the median of the *other* classes. The yardstick is their median
absolute deviation, never below their standard errors, together with the class's own standard
error: classes that differ by chance alone do not alarm, however small their MAD happens to be.
The p-value is one-sided, from Student's t with the few degrees of freedom that a MAD of few
classes has, because with eight classes a z of 5 is not as rare as it is with a thousand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr
from scipy.stats import false_discovery_control

from pipeline.audit.stats.estimates import Estimates

Float = NDArray[np.float64]

LEAST_CLASSES = 4
"""Classes with an estimate below which there is nothing to compare with."""

_MAD_TO_SIGMA = 1.4826
MAD_EFFICIENCY = 0.37
"""Of a MAD, against a standard deviation of as many normal values: 37 % of the degrees count."""
_MEDIAN_VARIANCE = 1.57
"""Variance of the median of n normal values, times n."""


@dataclass(frozen=True)
class Contrast:
    """One statistic of K classes against the others; NaN where there is no estimate.

    ``control`` is the median of the other classes' values, ``z`` the score minus the median of the
    others' scores in units of the yardstick, ``p`` one-sided.
    """

    estimates: Estimates
    control: Float
    z: Float
    p: Float


def contrast(family: Sequence[Estimates]) -> tuple[Contrast, ...]:
    """Contrast estimates that are one question asked several times, with one common spread."""
    found = undefined_contrasts(family)
    judged = np.all([np.isfinite(item.score) for item in family], axis=0)
    for class_id in np.flatnonzero(judged).tolist():
        others = judged.copy()
        others[class_id] = False
        if others.sum() + 1 < LEAST_CLASSES:
            break
        _judge(found, class_id, others)
    return found


def undefined_contrasts(family: Sequence[Estimates]) -> tuple[Contrast, ...]:
    """Return a contrast for each member of a family, NaN for every class, to be filled in."""
    return tuple(Contrast(item, *np.full((3, len(item.value)), np.nan)) for item in family)


def _judge(found: Sequence[Contrast], class_id: int, others: NDArray[np.bool_]) -> None:
    """Fill in one class of every contrast of a family."""
    scores = np.stack([item.estimates.score[others] for item in found])
    errors = np.stack([item.estimates.error[others] for item in found])
    medians = np.median(scores, axis=1, keepdims=True)
    n = scores.shape[1]
    freedom = len(found) * (n - 1)
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(scores - medians))) * n / max(n - 0.8, 1)
    for i, item in enumerate(found):
        floor = float(np.median(errors[i]))
        common = max(spread, floor) ** 2 * (1 + _MEDIAN_VARIANCE / n)
        own = float(item.estimates.error[class_id]) ** 2
        total = common + own
        item.control[class_id] = float(np.median(item.estimates.value[others]))
        if total == 0:  # all classes are exactly the same: a single layer converges at once
            item.z[class_id], item.p[class_id] = 0.0, 1.0
            continue
        common_freedom = max(1.0, MAD_EFFICIENCY * freedom)
        own_freedom = max(1, int(item.estimates.images[class_id]) - 1)
        degrees = total**2 / (common**2 / common_freedom + own**2 / own_freedom)
        gap = float(item.estimates.score[class_id] - medians[i, 0])
        item.z[class_id] = gap / total**0.5
        item.p[class_id] = upper_tail(float(item.z[class_id]), degrees)


def upper_tail(t: float, degrees: float) -> float:
    """Return the probability that Student's t with ``degrees`` > 0 of freedom exceeds ``t``."""
    return float(stdtr(degrees, -t))


def benjamini_hochberg(p: Float) -> Float:
    """Return the q-values (false discovery rate) of p-values; NaN where p is NaN."""
    q = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    q[known] = false_discovery_control(p[known])
    return q
