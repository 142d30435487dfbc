"""Quantiles of the classes, exact where the images are few enough for a second look."""

from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.atlas import CONFIDENT_MASS, TABLES, Atlas
from pipeline.store import Run, Status

MOST_EXACT = 2_000_000
"""Rows up to which quantiles are read from the images; beyond, from the atlas's histograms."""

Float = NDArray[np.float64]


class Quantiles:
    """Quantiles of columns of the summary, by class of an atlas.

    Attributes
    ----------
    exact : bool
        Whether they are those of the images (linear between two of them), or off by up to a bin.
    """

    def __init__(self, run: Run, atlas: Atlas) -> None:
        self._run, self._atlas = run, atlas
        self.exact = run.spec.rows <= MOST_EXACT

    def of(self, column: str, *levels: float) -> Float:
        """Return quantiles of every class, (levels, K); NaN where a class has no value."""
        if not self.exact or column == CONFIDENT_MASS:
            return np.stack([self._atlas.quantile(column, level) for level in levels])
        table = self._read(column)
        order, starts = self._order
        values = np.asarray(table[column].to_numpy(), np.float64)[order]
        found = np.full((len(levels), len(self._atlas.names)), np.nan)
        for number in range(found.shape[1]):
            own = values[starts[number] : starts[number + 1]]
            own = own[~np.isnan(own)]
            if len(own):
                found[:, number] = np.quantile(own, levels)
        return found

    def images(self, column: str) -> NDArray[np.int64]:
        """Return how many images of every class have a value, (K,)."""
        return self._atlas.column_moments(column)[2]

    @cached_property
    def _order(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the images by class, and where each class starts, (K + 1,)."""
        group = TABLES[self._atlas.table]
        numbers = np.asarray(self._read(group)[group].cast(pa.int64()).fill_null(-1).to_numpy())
        order = np.argsort(numbers, kind="stable")
        classes = np.arange(len(self._atlas.names) + 1)
        return order, np.searchsorted(numbers[order], classes)

    def _read(self, column: str) -> pa.Table:
        used = pc.field("status") == int(Status.OK)
        return self._run.summary().to_table(columns=[column], filter=used)
