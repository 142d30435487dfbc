"""Contrast: how far each class lies from all the others, robustly, and how surely.

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

from pipeline.audit.stats.estimates import Reading

Float = NDArray[np.float64]

LEAST_CLASSES = 4
"""Classes with a reading below which there is nothing to compare with."""

_MAD_TO_SIGMA = 1.4826
_MAD_EFFICIENCY = 0.37
"""Of a MAD, against a standard deviation of as many normal values: 37 % of the degrees count."""
_MEDIAN_VARIANCE = 1.57
"""Variance of the median of n normal values, times n."""


@dataclass(frozen=True)
class Contrast:
    """One statistic of K classes against the others; NaN where there is no reading.

    ``control`` is the median of the other classes' values, ``z`` the score minus the median of the
    others' scores in units of the yardstick, ``p`` one-sided.
    """

    reading: Reading
    control: Float
    z: Float
    p: Float


def contrast(family: Sequence[Reading]) -> tuple[Contrast, ...]:
    """Contrast readings that are one question asked several times, with one common spread."""
    classes = len(family[0].score)
    found = [Contrast(reading, *(np.full(classes, np.nan) for _ in range(3))) for reading in family]
    judged = np.all([np.isfinite(reading.score) for reading in family], axis=0)
    for number in np.flatnonzero(judged):
        others = judged.copy()
        others[number] = False
        if others.sum() + 1 < LEAST_CLASSES:
            break
        _judge(found, int(number), others)
    return tuple(found)


def _judge(found: Sequence[Contrast], number: int, others: NDArray[np.bool_]) -> None:
    """Fill in one class of every contrast of a family."""
    scores = np.stack([item.reading.score[others] for item in found])
    errors = np.stack([item.reading.error[others] for item in found])
    medians = np.median(scores, axis=1, keepdims=True)
    n = scores.shape[1]
    freedom = len(found) * (n - 1)
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(scores - medians))) * n / max(n - 0.8, 1)
    for i, item in enumerate(found):
        floor = float(np.median(errors[i]))
        common = max(spread, floor) ** 2 * (1 + _MEDIAN_VARIANCE / n)
        own = float(item.reading.error[number]) ** 2
        total = common + own
        item.control[number] = float(np.median(item.reading.value[others]))
        if total == 0:  # all classes are the same, and surely: one layer converges at once
            item.z[number], item.p[number] = 0.0, 1.0
            continue
        common_freedom = max(1.0, _MAD_EFFICIENCY * freedom)
        own_freedom = max(1, int(item.reading.images[number]) - 1)
        degrees = total**2 / (common**2 / common_freedom + own**2 / own_freedom)
        gap = float(item.reading.score[number] - medians[i, 0])
        item.z[number] = gap / total**0.5
        item.p[number] = upper_tail(float(item.z[number]), degrees)


def upper_tail(t: float, degrees: float) -> float:
    """Return the probability that Student's t with ``degrees`` > 0 of freedom exceeds ``t``."""
    return float(stdtr(degrees, -t))


def benjamini_hochberg(p: Float) -> Float:
    """Return the q-values (false discovery rate) of p-values; NaN where p is NaN."""
    q = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    q[known] = false_discovery_control(p[known])
    return q
