"""Bins and fixed-point values of the summary's columns, and quantiles from counts of bins.

Each kind of column has one set of edges (:func:`pipeline.measures.edges`) and one value that its
moments are taken of: the value itself, or log10 for a mass. The value is clipped at the upper end
of the histogram (a mass at both ends), and divided by the kind's span to fit the fixed point:
means are exact to ``span * 2**-33``, variances to about ``span**2 * 2**-32``.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.sums import ONE
from pipeline.measures import edges

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


def bin_codes(values: NDArray[np.float32], kind: str) -> Codes:
    """Return each value's bin: ``edges[i] <= value < edges[i + 1]``, the end bins open outwards.

    The upper 16 bits of a float32 leave 128 numbers to the octave, fewer than there are bins: so
    they give the bin except for one edge, and a table with a comparison replaces a search.
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


def quantile(histogram: NDArray[Any], kind: str, q: float | Float) -> Float:
    """Return a quantile of every class from its histogram, (K, bins) → (K,); q may be (K,).

    Linear within a bin (in the logarithm for ``ratio`` and ``mass``, whole numbers for ``count``
    and ``flag``), so it is off by at most one bin; NaN for an empty histogram.
    """
    scale = np.asarray(edges(kind))
    sums = np.float64 if histogram.dtype.kind == "f" else np.int64
    total = histogram.sum(axis=1, dtype=sums)
    below = np.cumsum(histogram, axis=1, dtype=sums)
    wanted = np.asarray(q * total, dtype=np.float64)
    index = np.minimum((below < wanted[:, None]).sum(axis=1), histogram.shape[1] - 1)
    index = np.maximum(index, (histogram > 0).argmax(axis=1))
    rows = np.arange(len(histogram))
    inside = histogram[rows, index]
    before = below[rows, index] - inside
    step = np.clip((wanted - before) / np.where(inside > 0, inside, 1), 0, 1)
    low, high = scale[index], scale[index + 1]
    if kind in ("ratio", "mass"):
        value = low * (high / low) ** step
    elif kind in ("count", "flag"):
        value = (low + high) / 2
    else:
        value = low + (high - low) * step
    return np.where(total > 0, value, np.nan)
