"""Class sums of the summary's columns: fixed-edge histograms, and moments in fixed point.

Each kind of column has one set of edges (:func:`pipeline.measures.edges`) and one value that its
moments are taken of: the value itself, or log10 for a mass. The value is clipped at the upper end
of the histogram (a mass at both ends), and divided by the kind's span to fit the fixed point:
means are exact to ``span * 2**-33``, variances to about ``span**2 * 2**-32``.

Counting all bins of all columns at once would take gigabytes for thousands of classes, so an
image's bins are kept as they are (two bytes per column) until there are so many images that
counters take less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas.statistics.membership import CONFIDENT, CONFIDENT_MASS, Members, segments
from pipeline.atlas.statistics.sums import ONE, ClassSums, Integer, Shapes
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

NO_BIN = np.uint16(65_535)
"""Bin of a null or NaN, which is counted nowhere."""

Float = NDArray[np.float64]
Codes = NDArray[np.uint16]
_PREFIXES = 1 << 16


def atlas_columns(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns the atlas keeps: the run's own, the confidence, and the confident mass."""
    return (*columns, Column("confidence", "fraction"), Column(CONFIDENT_MASS, "mass"))


def wanted_names(columns: Sequence[Column]) -> list[str]:
    """Return the summary's columns that the atlas's columns are made from."""
    names = [column.name for column in columns if column.name != CONFIDENT_MASS]
    return list(dict.fromkeys([*names, "confidence", "mass_flow"]))


def shapes(columns: Sequence[Column]) -> Shapes:
    """Return the arrays of the columns' moments: sums of values and of their squares."""
    each = (len(columns),)
    return {"total": each, "square": each}


def add_columns(
    moments: ClassSums, members: Members, part: pa.Table, columns: Sequence[Column]
) -> Codes:
    """Add images to the moments; return the bins of their values, (columns, n).

    Nulls and NaN count nowhere. Sums of up to 2**20 images at a time are exact in float64.
    """
    images, cells, bounds = segments(members, members.ok)
    moments.admit(np.repeat(cells, np.diff(bounds)))
    codes = np.empty((len(columns), len(members.rows)), np.uint16)
    found = np.zeros((2, len(cells), len(columns)), np.int64)
    for j, column in enumerate(columns):
        values = column_values(part, column.name)
        codes[j] = bin_codes(values, column.kind)
        for sums, fixed in zip(found, fixed_value(values, column.kind), strict=True):
            if len(cells):
                sums[:, j] = np.add.reduceat(fixed[images], bounds[:-1])
    moments["total"][cells] += found[0]
    moments["square"][cells] += found[1]
    return codes


def column_values(part: pa.Table, name: str) -> NDArray[np.float32]:
    """Return a column of the summary, or one made from it, as float32 with NaN for null."""
    if name == CONFIDENT_MASS:
        sure = column_values(part, "confidence") >= np.float32(CONFIDENT)
        return np.where(sure, column_values(part, "mass_flow"), np.float32(np.nan))
    return np.asarray(part[name].to_numpy(), dtype=np.float32)


def bin_codes(values: NDArray[np.float32], kind: str) -> Codes:
    """Return each value's bin: ``edges[i] <= value < edges[i + 1]``, the end bins open outwards.

    The upper 16 bits of a float32 leave 128 numbers to the octave, fewer than there are bins: so
    they tell the bin but for one edge, and a table with a comparison takes the place of a search.
    """
    below, edge = _bins_of_prefixes(kind)
    prefix = np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16
    codes: Codes = below[prefix] + (values >= edge[prefix])
    codes[np.isnan(values)] = NO_BIN
    return codes


@lru_cache
def _bins_of_prefixes(kind: str) -> tuple[Codes, NDArray[np.float32]]:
    """Return for every prefix the bin of its least value, and the one edge that may follow.

    NaN, which nothing reaches, where there is none.
    """
    inner = np.asarray(edges(kind))[1:-1]
    prefix = np.arange(_PREFIXES, dtype=np.uint32) << 16
    first = np.nan_to_num(prefix.view(np.float32))
    below = np.searchsorted(inner, first, side="right")
    # Compared as float32: the least float32 that is no less than the edge.
    rounded = inner.astype(np.float32)
    rounded = np.where(rounded < inner, np.nextafter(rounded, np.float32(np.inf)), rounded)
    negative = (prefix >> 31) > 0
    below[negative] = 0
    edge = np.append(rounded, np.float32(np.nan))[below]
    return below.astype(np.uint16), np.where(negative, np.float32(np.nan), edge)


def fixed_value(values: NDArray[np.float32], kind: str) -> tuple[Float, Float]:
    """Return the fixed-point value and square, whole numbers whose sums make the moments.

    0 for NaN.
    """
    low, high = edges(kind)[0], edges(kind)[-1]
    unit = np.where(np.isnan(values), low if kind == "mass" else 0, values).astype(np.float64)
    if kind == "mass":
        unit = np.log10(unit.clip(low, high))
    unit = np.minimum(unit, high) / SPAN[kind]
    fixed, square = np.rint(unit * ONE), np.rint(unit * unit * ONE)
    if kind == "mass":
        fixed[np.isnan(values)] = square[np.isnan(values)] = 0
    return fixed, square


@dataclass(frozen=True)
class ColumnStatistics:
    """Finished statistics of one column: (K, bins), and (K,) float64 mean and variance.

    Mean and variance (population) are those of log10 for a mass, and NaN without a value.
    """

    column: Column
    histogram: NDArray[np.uint32]
    mean: Float
    variance: Float


def finish_column(
    column: Column, histogram: NDArray[np.uint32], total: Integer, square: Integer
) -> ColumnStatistics:
    """Turn the sums of a column, one row per class, into its statistics."""
    count = histogram.sum(axis=1, dtype=np.int64)
    weight = np.where(count > 0, count, np.nan) * float(ONE)
    mean = total / weight
    variance = np.maximum(square / weight - mean * mean, 0)
    span = SPAN[column.kind]
    return ColumnStatistics(column, histogram, mean * span, variance * span * span)


def quantile(histogram: NDArray[np.integer[Any]], kind: str, q: float | Float) -> Float:
    """Return a quantile of every class from its histogram, (K, bins) → (K,); q may be (K,).

    Linear within a bin (in the logarithm for ``ratio`` and ``mass``, whole numbers for ``count``
    and ``flag``), so it is off by at most one bin; NaN for an empty histogram.
    """
    scale = np.asarray(edges(kind))
    total = histogram.sum(axis=1, dtype=np.int64)
    below = np.cumsum(histogram, axis=1, dtype=np.int64)
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
