"""Class sums of the summary's columns: fixed-edge histograms, and moments in fixed point.

Each kind of column has one set of edges (:func:`pipeline.measures.edges`) and one value that its
moments are taken of: the value itself, or log10 for a mass. The value is clipped at the upper end
of the histogram (a mass at both ends), and divided by the kind's span to fit the fixed point:
means are exact to ``span * 2**-33``, variances to about ``span**2 * 2**-32``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas.members import CONFIDENT, CONFIDENT_MASS, Members
from pipeline.atlas.sums import ONE, ClassSums, Shapes
from pipeline.measures import edges
from pipeline.store.layout import Column

SPAN: Mapping[str, float] = {
    "fraction": 1.0,
    "ratio": 256.0,
    "mass": 16.0,
    "count": 256.0,
    "flag": 1.0,
}
"""A power of two that bounds the magnitude of the value whose moments are kept."""

Float = NDArray[np.float64]


def atlas_columns(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns the atlas keeps: the run's own, the confidence, and the confident mass."""
    return (*columns, Column("confidence", "fraction"), Column(CONFIDENT_MASS, "mass"))


@dataclass(frozen=True)
class Binning:
    """Where each column's bins lie in one flat axis, so that a unit is counted in one call."""

    columns: tuple[Column, ...]

    @property
    def bins(self) -> tuple[int, ...]:
        """Number of bins of each column."""
        return tuple(len(edges(column.kind)) - 1 for column in self.columns)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First bin of each column, and the number of all bins at the end."""
        return tuple(accumulate(self.bins, initial=0))

    @property
    def shapes(self) -> Shapes:
        """Arrays of the column sums: flat histograms, sums of values and of their squares."""
        each = (len(self.columns),)
        return {"histogram": (self.offsets[-1],), "total": each, "square": each}


def add_columns(
    sums: Mapping[str, ClassSums], members: Members, part: pa.Table, binning: Binning
) -> None:
    """Add a unit's summary to the sums of every table. Nulls and NaN count nowhere."""
    *offsets, width = binning.offsets
    for table, total in sums.items():
        group = members.classes[table]
        total.admit(group[members.ok & (group >= 0)])
    for j, column in enumerate(binning.columns):
        values = column_values(part, column.name)
        known = members.ok & ~np.isnan(values)
        code = offsets[j] + bin_codes(values, column.kind)
        fixed, square = fixed_value(values, column.kind)
        for table, total in sums.items():
            used = known & (members.classes[table] >= 0)
            group = members.classes[table][used]
            np.add.at(total["histogram"].reshape(-1), group * width + code[used], 1)
            at = group * len(binning.columns) + j
            np.add.at(total["total"].reshape(-1), at, fixed[used])
            np.add.at(total["square"].reshape(-1), at, square[used])


def column_values(part: pa.Table, name: str) -> Float:
    """Return a column of the summary, or one made from it, as float64 with NaN for null."""
    if name == CONFIDENT_MASS:
        sure = column_values(part, "confidence") >= CONFIDENT
        return np.where(sure, column_values(part, "mass_flow"), np.nan)
    return np.asarray(part[name].to_numpy(), dtype=np.float64)


def bin_codes(values: Float, kind: str) -> NDArray[np.int64]:
    """Return each value's bin: ``edges[i] <= value < edges[i + 1]``, the end bins open outwards."""
    inner = np.asarray(edges(kind))[1:-1]
    return np.searchsorted(inner, values, side="right")


def fixed_value(values: Float, kind: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the fixed-point value and square whose sums make the moments; 0 for NaN."""
    low, high = edges(kind)[0], edges(kind)[-1]
    if kind == "mass":
        values = np.log10(values.clip(low, high))
    unit = np.nan_to_num(values.clip(None, high)) / SPAN[kind]
    return np.rint(unit * ONE).astype(np.int64), np.rint(unit * unit * ONE).astype(np.int64)


@dataclass(frozen=True)
class ColumnStatistics:
    """Finished statistics of one column: (K, bins) int64, and (K,) float64 mean and variance.

    Mean and variance (population) are those of log10 for a mass, and NaN without a value.
    """

    column: Column
    histogram: NDArray[np.int64]
    mean: Float
    variance: Float


def finish_columns(total: ClassSums, binning: Binning) -> tuple[ColumnStatistics, ...]:
    """Turn the sums of a group of columns into histograms, means and variances."""
    finished = []
    offsets = binning.offsets
    for j, column in enumerate(binning.columns):
        histogram = total["histogram"][:, offsets[j] : offsets[j + 1]]
        count = histogram.sum(axis=1)
        weight = np.where(count > 0, count, np.nan) * float(ONE)
        mean = total["total"][:, j] / weight
        variance = np.maximum(total["square"][:, j] / weight - mean * mean, 0)
        span = SPAN[column.kind]
        finished.append(
            ColumnStatistics(column, histogram.copy(), mean * span, variance * span * span)
        )
    return tuple(finished)


def quantile(histogram: NDArray[np.int64], kind: str, q: float | Float) -> Float:
    """Return a quantile of every class from its histogram, (K, bins) → (K,); q may be (K,).

    Linear within a bin (in the logarithm for ``ratio`` and ``mass``, whole numbers for ``count``
    and ``flag``), so it is off by at most one bin; NaN for an empty histogram.
    """
    scale = np.asarray(edges(kind))
    total = histogram.sum(axis=1)
    below = np.cumsum(histogram, axis=1)
    wanted = np.asarray(q * total, dtype=np.float64)
    index = np.minimum((below < wanted[:, None]).sum(axis=1), histogram.shape[1] - 1)
    index = np.maximum(index, (histogram > 0).argmax(axis=1))
    rows = np.arange(len(histogram))
    inside = histogram[rows, index]
    before = below[rows, index] - inside
    step = np.clip((wanted - before) / np.maximum(inside, 1), 0, 1)
    low, high = scale[index], scale[index + 1]
    if kind in ("ratio", "mass"):
        value = low * (high / low) ** step
    elif kind in ("count", "flag"):
        value = (low + high) / 2
    else:
        value = low + (high - low) * step
    return np.where(total > 0, value, np.nan)
