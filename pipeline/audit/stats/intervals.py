"""Confidence intervals of rates, and of the difference between two rates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm


@dataclass(frozen=True)
class Rate:
    """``count`` of ``images``, with its Wilson interval.

    ``design`` ≥ 1 is the design effect: images that share something say as little as ``design``
    times fewer independent ones, and the interval is that of so many.
    """

    count: int
    images: int
    level: float = 0.95
    design: float = 1.0

    @property
    def value(self) -> float:
        """The rate; NaN of no image."""
        return self.count / self.images if self.images else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval (1927): right also for rates of 0 and 1; (0, 1) of no image."""
        if not self.images:
            return 0.0, 1.0
        z, n, p = float(norm.ppf((1 + self.level) / 2)), self.images / self.design, self.value
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
        low, high = max(0.0, centre - half), min(1.0, centre + half)
        return (0.0 if self.count == 0 else low), (1.0 if self.count == self.images else high)

    def columns(self, name: str) -> dict[str, int | float | None]:
        """Return the rate as a table's columns; ``name_rate`` is null of no image."""
        low, high = self.interval
        return {
            f"{name}_images": self.images,
            f"{name}_rate": self.value if self.images else None,
            f"{name}_low": low,
            f"{name}_high": high,
        }


def design_effect(hits: NDArray[np.bool_], group: NDArray[np.int64]) -> float:
    """Return how many times fewer independent trials grouped ones are worth, at least 1.

    Pearson's dispersion of the groups' counts; trials of one group alone are worth one trial.
    """
    share = float(hits.mean())
    sizes = np.bincount(group)
    if share in (0.0, 1.0):
        return 1.0
    if len(sizes) < 2:
        return float(len(hits))
    rates = np.bincount(group, weights=hits) / sizes
    spread = float((sizes * (rates - share) ** 2).sum()) / (len(sizes) - 1)
    return max(1.0, spread / (share * (1 - share)))


def grouped_rate(hits: NDArray[np.bool_], *groups: NDArray[np.int64], level: float = 0.95) -> Rate:
    """Return the rate of hits (n,); those of one group are not independent.

    With several groupings (n,) of the same hits, the worst design effect counts.
    """
    if not len(hits):
        return Rate(0, 0, level)
    numbered = [np.unique(group, return_inverse=True)[1] for group in groups]
    design = max((design_effect(hits, group) for group in numbered), default=1.0)
    return Rate(int(hits.sum()), len(hits), level, design)


def difference(one: Rate, other: Rate) -> tuple[float, float]:
    """Return the interval of ``one - other`` by Newcombe's hybrid score method.

    Newcombe, "Interval estimation for the difference between independent proportions", 1998,
    method 10. (-1, 1) where either has no image.
    """
    if not one.images or not other.images:
        return -1.0, 1.0
    (low, high), (other_low, other_high) = one.interval, other.interval
    p, q = one.value, other.value
    below: float = ((p - low) ** 2 + (other_high - q) ** 2) ** 0.5
    above: float = ((high - p) ** 2 + (q - other_low) ** 2) ** 0.5
    return p - q - below, p - q + above
