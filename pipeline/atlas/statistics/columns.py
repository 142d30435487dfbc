"""Class sums of the summary's columns: fixed-edge histograms, and moments in fixed point."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.binning import SPAN, Codes, bin_codes, fixed_value, quantile
from pipeline.atlas.statistics.block import SummaryBlock
from pipeline.atlas.statistics.histograms import Counts, Histograms
from pipeline.atlas.statistics.membership import CONFIDENT_MASS, segments
from pipeline.atlas.statistics.statistic import Finish, Sums
from pipeline.atlas.statistics.sums import ONE, WEIGHT_ONE, ClassSums, Integer, Shapes, weigh
from pipeline.atlas.statistics.table import WHOLE, Table
from pipeline.measures import edges
from pipeline.store.layout import Column

TOGETHER = 8
"""Columns whose histograms are written and read together."""

Float = NDArray[np.float64]
_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}


def atlas_columns(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns the atlas keeps: the run's own, the confidence, and the confident mass."""
    return (*columns, Column("confidence", "fraction"), Column(CONFIDENT_MASS, "mass"))


def wanted_names(columns: Sequence[Column]) -> list[str]:
    """Return the summary's columns that the atlas's columns are made from."""
    names = [column.name for column in columns if column.name != CONFIDENT_MASS]
    return list(dict.fromkeys([*names, "confidence", "mass_flow"]))


@dataclass(frozen=True)
class _Written:
    """Of some columns of a table: mean and variance, and the flat columns."""

    moments: Mapping[str, tuple[Float, Float]]
    flat: Mapping[str, Float]


class Columns:
    """The statistic of the summary's columns: histograms, means and variances."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)

    def empty(self, cells: int) -> dict[str, Sums]:
        """Return its sums over no image, by name."""
        bins = [len(edges(column.kind)) - 1 for column in self.columns]
        return {
            "moments": ClassSums(cells, shapes(self.columns)),
            "histograms": Histograms(cells, bins),
        }

    def add(self, sums: Mapping[str, Any], block: SummaryBlock) -> None:
        """Add the values of images."""
        codes = add_columns(sums["moments"], block, self.columns)
        sums["histograms"].add(block.members, codes)

    def write(self, sums: Mapping[str, Any], tables: Sequence[Table], threads: Executor) -> Finish:
        """Write histograms and moments; means and quantiles are flat columns.

        A thread holds the histograms of ``TOGETHER`` columns, which all tables are made from.
        """
        moments: ClassSums = sums["moments"]
        totals = []
        for table in tables:
            unit = WEIGHT_ONE if table.weighted else 1  # no weight is more than that of an image
            self._create(table, unit * int(moments.composed("count", table.parts).max(initial=0)))
            totals.append([moments.composed(name, table.parts) for name in ("total", "square")])

        def write(first: int, some: Mapping[int, Column]) -> list[_Written]:
            counts = dict(zip(some, sums["histograms"].of_columns(some), strict=True))
            return [
                _write(table, first, _finish(some, counts, table, *total))
                for table, total in zip(tables, totals, strict=True)
            ]

        futures = [threads.submit(write, *batch) for batch in self._batches()]
        return lambda: _finish_moments(tables, futures)

    def _create(self, table: Table, most: int) -> None:
        """Create a table's edges and its empty histograms.

        A bin holds ``most`` at most: where that is below 2**16, two bytes do.
        """
        for kind in sorted({column.kind for column in self.columns}):
            scale = np.asarray(edges(kind))
            own = [column.name for column in self.columns if column.kind == kind]
            table.write(f"edges_{kind}", scale, (f"{kind}_edge",))
            table.create(
                f"histogram_{kind}",
                (len(own), len(table.parts), len(scale) - 1),
                "uint16" if most < 1 << 16 else "uint32" if most < 1 << 32 else "uint64",
                (f"{kind}_column", "class", f"{kind}_bin"),
                together=TOGETHER,
                attributes={"columns": own},
            )

    def _batches(self) -> Iterator[tuple[int, dict[int, Column]]]:
        """Yield the first place within the kind, and columns of one kind by their place in all."""
        for kind in sorted({column.kind for column in self.columns}):
            own = [(j, column) for j, column in enumerate(self.columns) if column.kind == kind]
            for first in range(0, len(own), TOGETHER):
                yield first, dict(own[first : first + TOGETHER])


def shapes(columns: Sequence[Column]) -> Shapes:
    """Return the arrays of the columns' moments: sums of values and of their squares."""
    each = (len(columns),)
    return {"total": each, "square": each}


def add_columns(moments: ClassSums, block: SummaryBlock, columns: Sequence[Column]) -> Codes:
    """Add images to the moments; return the bins of their values, (columns, n).

    Nulls and NaN count nowhere. Sums of up to 2**20 images at a time are exact in float64.
    """
    images, cells, bounds = segments(block.members, block.members.ok)
    weights = None if block.members.weights is None else block.members.weights[images]
    moments.admit(np.repeat(cells, np.diff(bounds)))
    codes = np.empty((len(columns), len(block.members.rows)), np.uint16)
    found = np.zeros((2, len(cells), len(columns)), np.int64)
    for j, column in enumerate(columns):
        values = block.values(column.name)
        codes[j] = bin_codes(values, column.kind)
        for sums, fixed in zip(found, fixed_value(values, column.kind), strict=True):
            if len(cells):
                sums[:, j] = np.add.reduceat(weigh(fixed[images], weights), bounds[:-1])
    moments["total"][cells] += found[0]
    moments["square"][cells] += found[1]
    return codes


@dataclass(frozen=True)
class ColumnStatistics:
    """Finished statistics of one column: (K, bins), and (K,) float64 mean and variance.

    Mean and variance (population) are those of log10 for a mass, and NaN without a value.
    """

    column: Column
    histogram: Counts
    mean: Float
    variance: Float


def finish_column(
    column: Column, histogram: Counts, total: Integer, square: Integer, unit: int = 1
) -> ColumnStatistics:
    """Turn the sums of a column, one row per class, into its statistics.

    An image of weight 1 is counted as ``unit`` in the histogram.
    """
    count = histogram.sum(axis=1, dtype=np.int64)
    weight = np.where(count > 0, count / unit, np.nan) * float(ONE)
    mean = total / weight
    variance = np.maximum(square / weight - mean * mean, 0)
    span = SPAN[column.kind]
    return ColumnStatistics(column, histogram, mean * span, variance * span * span)


def flat_columns(statistics: ColumnStatistics) -> dict[str, Float]:
    """Return mean and quantiles of a column per class, named as in the Parquet table.

    The mean of a mass is its geometric mean.
    """
    name, kind = statistics.column.name, statistics.column.kind
    mean = 10.0**statistics.mean if kind == "mass" else statistics.mean
    found = {f"{name}_mean": mean}
    if kind != "flag":
        for label, q in _QUANTILES.items():
            found[f"{name}_{label}"] = quantile(statistics.histogram, kind, q)
    return found


def _finish(
    some: Mapping[int, Column],
    counts: Mapping[int, Counts],
    table: Table,
    total: Integer,
    square: Integer,
) -> list[ColumnStatistics]:
    """Finish columns by their place, of the classes of a table."""
    return [
        finish_column(
            column,
            reduce(np.add, (counts[j][cells] for cells in table.parts.T)),
            total[:, j],
            square[:, j],
            WEIGHT_ONE if table.weighted else 1,
        )
        for j, column in some.items()
    ]


def _write(table: Table, first: int, some: Sequence[ColumnStatistics]) -> _Written:
    """Write the histograms of columns of one kind, from the ``first`` of the kind on."""
    array = table.group[f"histogram_{some[0].column.kind}"].with_config(WHOLE)
    histograms = np.empty((len(some), *array.shape[1:]), array.dtype)
    for statistics, histogram in zip(some, histograms, strict=True):
        histogram[...] = statistics.histogram
    array[first : first + len(some)] = histograms
    whole = [each for each in some if not _of_layer(each.column)]
    return _Written(
        moments={each.column.name: (each.mean, each.variance) for each in some},
        flat={name: values for each in whole for name, values in flat_columns(each).items()},
    )


def _finish_moments(
    tables: Sequence[Table], futures: Sequence[Future[list[_Written]]]
) -> list[dict[str, Float]]:
    """Write mean and variance of every column; return the flat columns of every table."""
    batches = [future.result() for future in futures]
    found = []
    for table, own in zip(tables, zip(*batches, strict=True), strict=True):
        moments = {name: pair for batch in own for name, pair in batch.moments.items()}
        for i, name in enumerate(("column_mean", "column_variance")):
            values = np.stack([pair[i] for pair in moments.values()])
            table.write(name, values, ("column", "class"))
        table.group.update_attributes({"moments": list(moments)})
        found.append({name: v for batch in own for name, v in batch.flat.items()})
    return found


def _of_layer(column: Column) -> bool:
    stem, _, layer = column.name.rpartition("_l")
    return bool(stem) and layer.isdigit()
