"""Shares: does one class have images of a rare kind that the other classes hardly have?

The number of such images in a class is compared with what the other classes lead one to expect: a
beta-binomial count, whose spread is that of the other classes' counts, and never less than what is
not known of their common rate. A class that looks far into every corner does so by nature: its
other corners raise what is expected.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, norm

from pipeline.audit.stats.contrast import LEAST_CLASSES, Contrast, Float, undefined_contrasts
from pipeline.audit.stats.estimates import Estimates

LEAST_MEMBERS = 4
"""Images of the rare kind below which a class is not judged."""

_LEAST_P = 1e-300


def contrast_shares(
    family: Sequence[Estimates], least: int = LEAST_MEMBERS
) -> tuple[Contrast, ...]:
    """Contrast shares that are one question asked several times, say of four corners.

    ``control`` is the share that is expected of the class, ``z`` the normal quantile of ``p``,
    which is 1 for fewer than ``least`` images of the rare kind.
    """
    found = undefined_contrasts(family)
    for expected in expected_shares(family):
        class_id, n = expected.class_id, expected.images
        for i, item in enumerate(found):
            k = float(np.rint(item.estimates.value[class_id] * n))
            tail = betabinom.sf(k - 1, n, *expected.prior(i))
            item.control[class_id] = expected.share[i]
            item.p[class_id] = max(_LEAST_P, float(tail)) if k >= least else 1.0
            item.z[class_id] = norm.isf(item.p[class_id]) if k >= least else 0.0
    return found


@dataclass(frozen=True)
class Expected:
    """What is expected of the ``images`` of a class: a ``share`` for each member of a family.

    ``worth`` is how many images the other classes' rates are worth as a prior.
    """

    class_id: int
    images: float
    share: tuple[float, ...]
    worth: float

    def prior(self, i: int) -> tuple[float, float]:
        """Return both parameters of the beta prior of the family's member ``i``."""
        return self.worth * self.share[i], self.worth * (1 - self.share[i])


def expected_shares(family: Sequence[Estimates]) -> Iterator[Expected]:
    """Yield what is expected of every class that can be judged, from the other classes."""
    judged = np.all([np.isfinite(item.value) for item in family], axis=0)
    if judged.sum() < LEAST_CLASSES:
        return
    images = np.stack([item.images for item in family]).astype(np.float64)
    counts = np.rint(np.nan_to_num([item.value for item in family]) * images)
    for class_id in np.flatnonzero(judged).tolist():
        others = judged.copy()
        others[class_id] = False
        rates = (counts[:, others].sum(1) + 0.5) / (images[:, others].sum(1) + 1)
        shares = counts[:, class_id] / images[:, class_id]
        own = [np.delete(shares, i) for i in range(len(family))]
        yield Expected(
            class_id=class_id,
            images=float(images[0, class_id]),
            share=tuple(
                max(float(rate), float(np.median(rest)) if len(rest) else 0.0)
                for rate, rest in zip(rates, own, strict=True)
            ),
            worth=_prior_images(counts[:, others], images[:, others], rates),
        )


def _prior_images(counts: Float, images: Float, rates: NDArray[np.float64]) -> float:
    """Return how many images the other classes' rate is worth as a beta prior.

    From the excess of Pearson's chi-square over its degrees of freedom, at most all their images.
    """
    expected = rates[:, None] * images
    squares = (counts - expected) ** 2 / (expected * (1 - rates[:, None]))
    degrees = max(1, counts.size - len(rates))
    excess = float(squares.sum()) / degrees - 1
    most = float(images[0].sum())
    if excess <= 0:
        return most
    return float(np.clip((images.mean() - 1) / excess - 1, 1.0, most))
