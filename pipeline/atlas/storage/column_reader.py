"""``ColumnReader``: what an atlas knows of the summary's columns."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.binning import quantile
from pipeline.atlas.statistics.bootstrap import Replicates
from pipeline.atlas.statistics.sums import WEIGHT_ONE
from pipeline.errors import ConfigError

Float = NDArray[np.float64]
Integer = NDArray[np.int64]


class ColumnReader:
    """Histograms, quantiles, moments and bootstrap intervals of the columns, of K classes.

    ``columns``: column → kind, which fixes its histogram. ``weighted``: whether images count by
    their weights.
    """

    def __init__(self, group: Any, *, weighted: bool) -> None:
        self._group = group
        self.weighted = weighted
        self.columns: dict[str, str] = dict(group.attrs["columns"])

    def edges(self, column: str) -> Float:
        """Return the bin edges of a column, (bins + 1,)."""
        return np.asarray(self._group[f"edges_{self._kind(column)}"][...])

    def histogram(self, column: str) -> NDArray[Any]:
        """Return the counts of a column, (K, bins); values beyond the edges are in the end bins.

        Whole numbers, or sums of weights where images have them.
        """
        array = self._group[f"histogram_{self._kind(column)}"]
        counts = np.asarray(array[array.attrs["columns"].index(column)], dtype=np.int64)
        return counts / WEIGHT_ONE if self.weighted else counts

    def quantile(self, column: str, q: float | Float) -> Float:
        """Return a quantile of a column from its histogram, (K,): off by at most one bin.

        ``q`` is in [0, 1], one for all classes or (K,).
        """
        return quantile(self.histogram(column), self._kind(column), q)

    def column_mean(self, column: str) -> Float:
        """Return the mean of a column, (K,); the geometric mean where its kind is ``mass``.

        Exact but for rounding (2**-33 of the kind's span per image), not taken from a histogram.
        Values above the histogram's upper end count as that end.
        """
        mean = self.column_moments(column)[0]
        return np.asarray(10.0**mean if self._kind(column) == "mass" else mean)

    def column_moments(self, column: str) -> tuple[Float, Float, Integer]:
        """Return mean, population variance (of log10 where the kind is ``mass``), and number.

        The number of images is that of distinct ones, rounded, where they have weights.
        """
        position = list(self._group.attrs["moments"]).index(column)
        number = np.rint(self.histogram(column).sum(axis=1)).astype(np.int64)
        mean, variance = self._array("column_mean"), self._array("column_variance")
        return mean[position], variance[position], number

    def interval(self, statistic: str) -> tuple[Float, Float]:
        """Return the ends of a 95 % bootstrap interval, (K,) each.

        ``statistic`` is ``rate`` or a column whose mean has replicates.
        """
        low, high = self._intervals
        position = self._statistic(statistic)
        return low[position], high[position]

    def replicates(self, statistic: str) -> Float:
        """Return the bootstrap replicates of ``rate`` or of a column's mean, (K, replicates)."""
        return np.asarray(self._group["replicates"][self._statistic(statistic)])

    @cached_property
    def _intervals(self) -> tuple[Float, Float]:
        statistics = tuple(self._group["replicates"].attrs["statistics"])
        return Replicates(statistics, self._array("replicates")).intervals()

    def _statistic(self, name: str) -> int:
        statistics = list(self._group["replicates"].attrs["statistics"])
        if name not in statistics:
            raise ConfigError(f"{name!r} was not replicated; choose from {', '.join(statistics)}")
        return statistics.index(name)

    def _kind(self, column: str) -> str:
        if column not in self.columns:
            raise ConfigError(f"there is no column {column!r} in the atlas; see Atlas.columns")
        return self.columns[column]

    def _array(self, name: str) -> Float:
        return np.asarray(self._group[name][...])
