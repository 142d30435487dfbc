"""Poisson bootstrap: confidence intervals of accuracy and of column means that can be merged.

Each replicate counts an image Poisson(1) times, which is what drawing with replacement does to a
large sample (Hanley and MacGibbon 2006). The number of times is a function of the row and the
replicate alone, so replicates of parts of a run add up to replicates of the run.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.binning import SPAN, fixed_value
from pipeline.atlas.statistics.block import SummaryBlock
from pipeline.atlas.statistics.hashing import hash64
from pipeline.atlas.statistics.membership import segments
from pipeline.atlas.statistics.statistic import Finish, Flat, Sums
from pipeline.atlas.statistics.sums import ONE, WEIGHT_ONE, ClassSums, Integer, Shapes, weigh
from pipeline.atlas.statistics.table import Table
from pipeline.store.layout import Column

REPLICATES = 100
LEVEL = 0.95
"""Share of the replicates that an interval holds."""

ACCURACY = "accuracy"
_STEMS = (
    "mass",
    "entropy",
    "gini",
    "area90",
    "spread",
    "border",
    "centre",
    "box_energy",
)
_WHOLE = ("depth_centre", "convergence_depth", "confidence")

Float = NDArray[np.float64]
_BITS = 24  # of a value: weights and images leave it exact in float64
_DRAWS = 4  # of 16 bits from a hash of 64
_SEED = 0xB007


def main_columns(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns whose means get an interval: the main ones of the accumulated map."""
    wanted = {f"{stem}_flow" for stem in _STEMS} | set(_WHOLE)
    return tuple(column for column in columns if column.name in wanted)


class Bootstrap:
    """The statistic of the accuracy's and the main columns' replicates."""

    def __init__(
        self, columns: Sequence[Column], rate: Callable[[str], str] = lambda table: ACCURACY
    ) -> None:
        self.columns, self.rate = main_columns(columns), rate

    def empty(self, cells: int) -> dict[str, Sums]:
        """Return its sums over no image, by name."""
        return {"replicates": ClassSums(cells, shapes(self.columns))}

    def add(self, sums: Mapping[str, Any], block: SummaryBlock) -> None:
        """Add images to all replicates."""
        add_replicates(sums["replicates"], block, self.columns)

    def write(self, sums: Mapping[str, Any], tables: Sequence[Table], threads: Executor) -> Finish:
        """Write the replicates; the ends of the intervals are flat columns."""
        futures = [threads.submit(self._write, sums["replicates"], table) for table in tables]
        return lambda: [future.result() for future in futures]

    def _write(self, total: ClassSums, table: Table) -> Flat:
        found = finish_replicates(total, table.parts, self.columns)
        axes = ("statistic", "class", "replicate")
        table.write("replicates", found.means.astype(np.float32), axes)
        rate = self.rate(table.name)
        names = [rate if name == ACCURACY else name for name in found.names]
        table.group["replicates"].update_attributes({"statistics": names})
        low, high = found.intervals()
        return {
            f"{name if name == rate else name + '_mean'}_{end}": values[j]
            for j, name in enumerate(names)
            for end, values in (("low", low), ("high", high))
        }


def shapes(columns: Sequence[Column]) -> Shapes:
    """Return the arrays: weights, and weighted values, of accuracy and every column."""
    each = (REPLICATES, 1 + len(columns))
    return {"weight": each, "value": each}


def weights(rows: Integer) -> NDArray[np.uint8]:
    """Return how often each image is in each replicate, (n, replicates)."""
    words = [hash64(_SEED + word, rows) for word in range(-(-REPLICATES // _DRAWS))]
    draws = np.stack(words, axis=1).astype("<u8").view("<u2")[:, :REPLICATES]
    times: NDArray[np.uint8] = _POISSON[draws]
    return times


def _poisson_table() -> NDArray[np.uint8]:
    """Return Poisson(1) of 16 random bits, by inversion."""
    below = np.cumsum([math.exp(-1) / math.factorial(times) for times in range(10)])
    return np.searchsorted(below, (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.uint8)


_POISSON = _poisson_table()


def add_replicates(total: ClassSums, block: SummaryBlock, columns: Sequence[Column]) -> None:
    """Add images to all replicates; up to 2**22 at a time, so that float64 sums are exact."""
    members = block.members
    known = np.empty((len(members.rows), 1 + len(columns)))
    values = np.empty_like(known)
    known[:, 0] = (members.correct >= 0) * members.worth
    values[:, 0] = (members.correct == 1) * members.worth
    for j, column in enumerate(columns, 1):
        value = block.values(column.name)
        known[:, j] = ~np.isnan(value) * members.worth
        fixed = np.rint(fixed_value(value, column.kind)[0] / (ONE >> _BITS))
        values[:, j] = weigh(fixed, members.weights)
    images, cells, bounds = segments(members, members.ok)
    total.admit(np.repeat(cells, np.diff(bounds)))
    both = np.concatenate([known, values], axis=1)
    times = weights(members.draws)
    for cell, lo, hi in zip(cells, bounds[:-1], bounds[1:], strict=True):
        own = images[lo:hi]
        found = times[own].T.astype(np.float64) @ both[own]
        total["weight"][cell] += found[:, : known.shape[1]].astype(np.int64)
        total["value"][cell] += found[:, known.shape[1] :].astype(np.int64)


@dataclass(frozen=True)
class Replicates:
    """Replicated means of accuracy and columns, (names, K, replicates); NaN without a value.

    Those of a mass are geometric means.
    """

    names: tuple[str, ...]
    means: Float

    def intervals(self) -> tuple[Float, Float]:
        """Return the ends of the percentile intervals, (names, K) each."""
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(self.means, [tail, 1 - tail], axis=2)
        return low, high


def finish_replicates(total: ClassSums, parts: Integer, columns: Sequence[Column]) -> Replicates:
    """Turn sums into the replicates of the classes made of the cells ``parts``."""
    weight, value = total.composed("weight", parts), total.composed("value", parts)
    means = value / np.where(weight > 0, weight, np.nan)
    means[:, :, 1:] *= WEIGHT_ONE
    for j, column in enumerate(columns, 1):
        means[:, :, j] *= SPAN[column.kind] / (1 << _BITS)
        if column.kind == "mass":
            means[:, :, j] = 10.0 ** means[:, :, j]
    names = (ACCURACY, *(column.name for column in columns))
    return Replicates(names, np.ascontiguousarray(means.transpose(2, 0, 1)))
