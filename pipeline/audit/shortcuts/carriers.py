"""Carriers: how many images of a class look at the place of a shortcut, and how many elsewhere."""

from dataclasses import dataclass

import numpy as np

from pipeline.atlas import Atlas
from pipeline.audit.shortcuts.detection import Signal
from pipeline.audit.stats.estimates import FAR, LOOKING

LEAST_CARRIERS = 4
"""Fewer than these are no headline: the class as a whole is a little different then."""

BORDER = 2.0
"""Lift of the border from which an image looks at it: twice what a uniform map has there."""


@dataclass(frozen=True)
class Carriers:
    """How many images of a class look at a place; distinct ones where the atlas has weights.

    ``images`` of ``of`` do, and a share ``elsewhere`` in [0, 1] of the images of all other classes;
    ``lift`` is from where an image counts.
    """

    images: int
    of: int
    elsewhere: float
    lift: float


def count_carriers(atlas: Atlas, signal: Signal) -> Carriers | None:
    """Count the carriers of a signal; None of one without a place, or with too few of them.

    Exact: the lifts from which an image counts are edges of the histogram.
    """
    if signal.statistic.place is None:
        return None
    lift = BORDER if signal.statistic.kind == "border" else LOOKING
    lift = FAR if signal.statistic.aspect == "share" else lift
    column = signal.statistic.column
    counts = atlas.histogram(column)
    looking = counts[:, np.searchsorted(atlas.edges(column), lift) :].sum(axis=1)
    images = counts.sum(axis=1)
    own, of = float(looking[signal.class_id]), float(images[signal.class_id])
    others = float(images.sum()) - of
    if round(own) < LEAST_CARRIERS or others <= 0:
        return None
    elsewhere = (float(looking.sum()) - own) / others
    return Carriers(round(own), round(of), elsewhere, lift) if own / of > elsewhere else None
