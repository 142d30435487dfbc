"""Estimates: one number per class and statistic, with its standard error, taken from an atlas.

A shortcut that a quarter of a class carries moves the class mean a little and the upper tenth a
lot, so every region is measured twice: by its mean (``level``) and by its 90th percentile
(``tail``). Missing mass is measured the same way by the mean and the 10th percentile, among the
images that the model is confident about: low mass of an unsure model means nothing.

What 2 % of a class carry moves neither: there the images are counted that look *far* into a corner
(``share``), which a class without a tag hardly has at all.

Classes differ by nature in where and how far out they look, which must not alarm. So a tail is
scored against the median of its own class (a tag that some images carry stretches it, a habit of
all images does not), and the level of a corner against the three other corners of its own class
(classes look far out in all corners alike; a tag sits in one).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import CONFIDENT_MASS, Atlas
from pipeline.audit.places import CORNERS, LIFT_COLUMNS, PLACE_OF

Float = NDArray[np.float64]

LEAST_IMAGES = 20
"""Least images of a class that is judged or serves as a control."""

QUIET_LIFT = 0.1
"""Added to a lift before its logarithm: corners without any flow and with hardly any are alike."""


@dataclass(frozen=True)
class Statistic:
    """What is measured of every class: an ``aspect`` (see the module) of a column.

    ``kind`` is the mechanism it is evidence of; ``upwards`` says which way is suspicious;
    ``effect`` is the least effect that is reported: a ratio to the control, or a difference in
    layers for ``depth``.
    """

    column: str
    kind: str
    aspect: str
    upwards: bool
    effect: float

    @property
    def name(self) -> str:
        """Column and aspect, as findings print them."""
        return f"{self.column}_{self.aspect}"

    @property
    def place(self) -> str | None:
        """The key of :data:`pipeline.audit.places.PLACES` that it is about, None without one."""
        return PLACE_OF.get(self.column)


FAR = 8.0
"""Lift of a corner (1/16 of the frame) that holds at least half of the whole flow."""

LOOKING = 4.0
"""Lift of a corner that holds a quarter of the flow."""


def corner_statistics(aspect: str, effect: float) -> tuple[Statistic, ...]:
    """Return one question asked of the four corners, which share the spread of the controls."""
    return tuple(
        Statistic(LIFT_COLUMNS[corner], "corner", aspect, upwards=True, effect=effect)
        for corner in CORNERS
    )


STATISTICS: tuple[Statistic, ...] = (
    *corner_statistics("level", 1.5),
    Statistic(LIFT_COLUMNS["border"], "border", "level", upwards=True, effect=1.5),
    *corner_statistics("tail", 2.0),
    Statistic(LIFT_COLUMNS["border"], "border", "tail", upwards=True, effect=2.0),
    *corner_statistics("share", 4.0),
    Statistic(CONFIDENT_MASS, "mass", "level", upwards=False, effect=1.5),
    Statistic(CONFIDENT_MASS, "mass", "tail", upwards=False, effect=2.0),
    Statistic("convergence_depth", "depth", "level", upwards=False, effect=0.5),
)


@dataclass(frozen=True)
class Estimates:
    """One statistic of K classes, NaN where it cannot be estimated.

    ``value`` is what a person reads; ``score`` is what is compared, so that bad is up: ±log2 of
    lifts and masses (tails: less that of the class's own median; level of a corner: less the
    median of those of the class's other corners), minus the depth, a share itself. ``error`` is the
    standard error of the score, ``images`` the number of images behind it.
    """

    statistic: Statistic
    value: Float
    score: Float
    error: Float
    images: NDArray[np.int64]


def estimate_all(atlas: Atlas) -> tuple[Estimates, ...]:
    """Estimate every statistic whose column the atlas has."""
    found = [estimate(atlas, item) for item in STATISTICS if item.column in atlas.columns]
    return tuple(_against_own_corners(item, found) for item in found)


def _against_own_corners(one: Estimates, every: Sequence[Estimates]) -> Estimates:
    """Score the level of a corner against the other corners of each class."""
    levels = [e for e in every if (e.statistic.kind, e.statistic.aspect) == ("corner", "level")]
    others = [item for item in levels if item is not one]
    if len(others) == len(levels):
        return one
    score = one.score - np.median([item.score for item in others], axis=0)
    # The median of three has a little less than half of the variance of one.
    shared = np.mean([item.error**2 for item in others], axis=0) / 2
    return replace(one, score=score, error=np.sqrt(one.error**2 + shared))


def estimate(atlas: Atlas, statistic: Statistic) -> Estimates:
    """Estimate one statistic of every class that has enough images."""
    images = atlas.column_moments(statistic.column)[2]
    with np.errstate(invalid="ignore", divide="ignore"):
        value, score, error = _ASPECTS[statistic.aspect](atlas, statistic)
    few = images < LEAST_IMAGES
    for values in (value, score, error):
        values[few] = np.nan
    return Estimates(statistic, value, score if statistic.upwards else -score, error, images)


def _share(atlas: Atlas, statistic: Statistic) -> tuple[Float, Float, Float]:
    """Return the share of images with a lift that is a bin's edge, or a higher one; so exact."""
    column = statistic.column
    images = atlas.column_moments(column)[2]
    far = np.searchsorted(atlas.edges(column), _LEAST_LIFT[statistic.aspect])
    counts = atlas.histogram(column)
    share = counts[:, far:].sum(axis=1) / counts.sum(axis=1)
    return share, share.copy(), np.sqrt(share * (1 - share) / images)


def _level(atlas: Atlas, statistic: Statistic) -> tuple[Float, Float, Float]:
    mean, variance, images = atlas.column_moments(statistic.column)
    error = np.sqrt(variance / np.maximum(images - 1, 1))
    kind = atlas.columns[statistic.column]
    if kind == "mass":
        octaves = 1 / np.log10(2)
        return 10.0**mean, mean * octaves, error * octaves
    if kind == "ratio":
        lifted = mean + QUIET_LIFT
        return mean.copy(), np.log2(lifted), error / lifted / np.log(2)
    return mean.copy(), mean.copy(), error


def _tail(atlas: Atlas, statistic: Statistic) -> tuple[Float, Float, Float]:
    """Return a quantile, and its distance in octaves to the median of the same class."""
    column, q = statistic.column, 0.9 if statistic.upwards else 0.1
    score = _octaves(atlas, column, q) - _octaves(atlas, column, 0.5)
    error = np.hypot(_quantile_error(atlas, column, q), _quantile_error(atlas, column, 0.5))
    return atlas.quantile(column, q), score, error


_ASPECTS = {"level": _level, "tail": _tail, "share": _share, "lead": _share}
_LEAST_LIFT = {"share": FAR, "lead": LOOKING}


def _quantile_error(atlas: Atlas, column: str, q: float) -> Float:
    """Return half the width of the usual order-statistic interval, and what the bins add to it."""
    images = np.maximum(atlas.column_moments(column)[2], 1)
    step = np.sqrt(q * (1 - q) / images)
    low = _octaves(atlas, column, np.maximum(q - step, 0))
    high = _octaves(atlas, column, np.minimum(q + step, 1))
    error: Float = np.hypot((high - low) / 2, _BIN_ERROR[atlas.columns[column]])
    return error


def _octaves(atlas: Atlas, column: str, q: float | Float) -> Float:
    """Return log2 of a quantile, a lift being raised by ``QUIET_LIFT``."""
    quiet = QUIET_LIFT if atlas.columns[column] == "ratio" else 0.0
    octaves: Float = np.log2(atlas.quantile(column, q) + quiet)
    return octaves


_BIN_ERROR = {"ratio": 1 / 16 / np.sqrt(12), "mass": np.log2(10) / 16 / np.sqrt(12)}
"""Standard error in octaves of a quantile that is known to a bin (see ``measures.edges``)."""
