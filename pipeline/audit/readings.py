"""Readings: one number per class and statistic, with its standard error, taken from an atlas.

A shortcut that a quarter of a class carries moves the class mean a little and the upper tenth a
lot, so every region is read twice: by its mean (``level``) and by its 90th percentile (``tail``).
Missing mass is read the same way by the mean and the 10th percentile, among the images that the
model is confident about: low mass of an unsure model says nothing.

A corner is scored against the three other corners of its own class. Classes differ by nature in how
far out they look, in all corners alike; a tag sits in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import CONFIDENT_MASS, Atlas

Float = NDArray[np.float64]

LEAST_IMAGES = 20
"""Images from which a class is judged, and from which it serves as a control."""

QUIET_LIFT = 0.1
"""Added to a lift before its logarithm: corners nobody looks at are alike, be they 0 or 0.01."""


@dataclass(frozen=True)
class Statistic:
    """What is looked at.

    ``kind`` is the mechanism it speaks for and ``place`` its words; ``upwards`` says which way is
    suspicious; ``effect`` is the least effect worth a person's time: a ratio to the control, or a
    difference in layers for ``depth``.
    """

    column: str
    kind: str
    place: str
    aspect: str
    upwards: bool
    effect: float

    @property
    def name(self) -> str:
        """Column and aspect, as findings print them."""
        return f"{self.column}_{self.aspect}"


CORNERS = {
    "corner_tl_flow": "top-left corner",
    "corner_tr_flow": "top-right corner",
    "corner_bl_flow": "bottom-left corner",
    "corner_br_flow": "bottom-right corner",
}
"""Columns that are one question asked four times; they share the spread of the controls."""

_REGIONS = {column: ("corner", place) for column, place in CORNERS.items()} | {
    "border_flow": ("border", "border"),
}

STATISTICS: tuple[Statistic, ...] = (
    *(
        Statistic(column, kind, place, aspect, upwards=True, effect=effect)
        for aspect, effect in (("level", 1.25), ("tail", 1.5))
        for column, (kind, place) in _REGIONS.items()
    ),
    Statistic(CONFIDENT_MASS, "mass", "mass", "level", upwards=False, effect=1.25),
    Statistic(CONFIDENT_MASS, "mass", "mass", "tail", upwards=False, effect=1.5),
    Statistic("convergence_depth", "depth", "convergence", "level", upwards=False, effect=0.5),
)


@dataclass(frozen=True)
class Reading:
    """One statistic of K classes, NaN where it cannot be read.

    ``value`` is what a person reads; ``score`` is what is compared, so that bad is up: ±log2 of
    lifts and masses, minus the depth, and for a corner its log2 less the median of those of the
    class's other corners; ``error`` is the standard error of the score; ``images`` the number of
    images read.
    """

    statistic: Statistic
    value: Float
    score: Float
    error: Float
    images: NDArray[np.int64]


def read_all(atlas: Atlas) -> tuple[Reading, ...]:
    """Read every statistic whose column the atlas has."""
    readings = [read(atlas, item) for item in STATISTICS if item.column in atlas.columns]
    return tuple(_against_own_corners(reading, readings) for reading in readings)


def _against_own_corners(reading: Reading, readings: Sequence[Reading]) -> Reading:
    """Score a corner against the other corners of each class; leave other readings alone."""
    statistic = reading.statistic
    if statistic.kind != "corner":
        return reading
    others = [
        item
        for item in readings
        if (item.statistic.kind, item.statistic.aspect) == ("corner", statistic.aspect)
        and item is not reading
    ]
    score = reading.score - np.median([item.score for item in others], axis=0)
    # The median of three has a little less than half of the variance of one.
    shared = np.mean([item.error**2 for item in others], axis=0) / 2
    return replace(reading, score=score, error=np.sqrt(reading.error**2 + shared))


def read(atlas: Atlas, statistic: Statistic) -> Reading:
    """Read one statistic of every class that has enough images."""
    images = atlas.column_moments(statistic.column)[2]
    with np.errstate(invalid="ignore", divide="ignore"):
        if statistic.aspect == "level":
            value, score, error = _level(atlas, statistic)
        else:
            value, score, error = _tail(atlas, statistic)
    few = images < LEAST_IMAGES
    for values in (value, score, error):
        values[few] = np.nan
    return Reading(statistic, value, score if statistic.upwards else -score, error, images)


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
    """Read a quantile; its error is half the width of the usual order-statistic interval."""
    q = 0.9 if statistic.upwards else 0.1
    images = np.maximum(atlas.column_moments(statistic.column)[2], 1)
    step = np.sqrt(q * (1 - q) / images)
    column = statistic.column
    value = atlas.quantile(column, q)
    low, high = _at(atlas, column, q - step), _at(atlas, column, q + step)
    quiet = QUIET_LIFT if atlas.columns[column] == "ratio" else 0.0
    error = (np.log2(high + quiet) - np.log2(low + quiet)) / 2
    return value, np.log2(value + quiet), np.hypot(error, _BIN_ERROR[atlas.columns[column]])


_BIN_ERROR = {"ratio": 1 / 16 / np.sqrt(12), "mass": np.log2(10) / 16 / np.sqrt(12)}
"""Standard error in octaves of a quantile that is known to a bin (see ``measures.edges``)."""


def _at(atlas: Atlas, column: str, levels: Sequence[float] | Float) -> Float:
    """Return one quantile per class, each at its own level."""
    return atlas.quantile(column, np.clip(levels, 0, 1))
