"""Groups: the donors of a class whose part works, apart from those whose part does not.

A part of the object works a little in most images of the class; a shortcut that some of them carry
works in these and in no other. So the donors are split in two where their gains are farthest apart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LEAST = 2
"""Donors that a group has at least."""

_SOFTEST = 0.3
"""A spread within groups that a few recipients cannot tell from none, in logits."""


@dataclass(frozen=True)
class Split:
    """``carriers`` and ``others`` are positions of donors, ``high`` and ``low`` mean gains."""

    carriers: tuple[int, ...]
    others: tuple[int, ...]
    high: float
    low: float

    @property
    def score(self) -> float:
        """How much more the carriers' part does than twice what the others' does, in logits."""
        return self.high - 2 * max(self.low, 0.0)


def split(gains: Float) -> Split | None:
    """Split donors by their gains (D,), NaN of those not tried; None of fewer than four."""
    known = np.flatnonzero(np.isfinite(gains))
    order = known[np.argsort(-gains[known], kind="stable")]
    best: tuple[float, int] | None = None
    for size in range(LEAST, len(order) - LEAST + 1):
        high, low = gains[order[:size]], gains[order[size:]]
        within = (size * high.var() + len(low) * low.var()) / len(order)
        apart = float((high.mean() - low.mean()) / (within**0.5 + _SOFTEST))
        if best is None or apart > best[0]:
            best = apart, size
    if best is None:
        return None
    carriers, others = order[: best[1]], order[best[1] :]
    return Split(
        tuple(sorted(carriers.tolist())),
        tuple(sorted(others.tolist())),
        float(gains[carriers].mean()),
        float(gains[others].mean()),
    )
