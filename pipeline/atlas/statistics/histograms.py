"""``Histograms``: how many images of each cell have a column's value in each bin.

Images' bins are kept as they come, two bytes per column, until counters of all cells would take
less memory; from then on they are counted. Of a weighted atlas the bins hold sums of weights. A
column's histogram is made when it is asked for, so
all of them are never in memory together unless there are very many images.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.binning import Codes
from pipeline.atlas.statistics.membership import Members, segments

Counts = NDArray[np.uint32] | NDArray[np.uint64]

KEPT_IMAGES = 512
"""Images kept per cell before counters (4 bytes of 256 bins) take less than bins (2 bytes)."""


class _Kept(NamedTuple):
    """Images that are not yet counted: cells (n,), bins (columns, n), and weights (n,) if any."""

    cells: NDArray[np.int32]
    codes: Codes
    weights: NDArray[np.uint64] | None


class Histograms:
    """A commutative monoid of histograms, one per cell and column.

    Attributes
    ----------
    cells : number of cells
    bins : number of bins of each column
    """

    def __init__(self, cells: int, bins: Sequence[int]) -> None:
        self.cells = cells
        self.bins = tuple(bins)
        self._kept: list[_Kept] = []
        self._counted: list[Counts] | None = None

    def add(self, members: Members, codes: Codes) -> None:
        """Add images with the bins (columns, n) of their values."""
        images, cells, bounds = segments(members, members.ok)
        own = np.repeat(cells, np.diff(bounds)).astype(np.int32)
        weights = None if members.weights is None else members.weights[images].astype(np.uint64)
        self._kept.append(_Kept(own, np.take(codes, images, axis=1), weights))
        self._count_if_many()

    def of_columns(self, some: Iterable[int]) -> Iterator[Counts]:
        """Yield the histograms of columns, (cells, bins) each.

        Images of a cell are counted one after the other, because counters far apart are slow.
        """
        cells = np.concatenate([np.empty(0, np.int32), *(part.cells for part in self._kept)])
        order = np.argsort(cells.astype(np.min_scalar_type(self.cells)), kind="stable")
        cells = cells[order].astype(np.int64)
        weights = self._weights(order)
        for j in some:
            bins = self.bins[j]
            counted = None if self._counted is None else self._counted[j]
            kind = (weights if counted is None else counted).dtype
            total: Counts = np.zeros((self.cells, bins + 1), kind)
            if self._counted is not None:
                total[:, :bins] = self._counted[j]
            if self._kept:
                codes = np.concatenate([part.codes[j] for part in self._kept])[order]
                # NO_BIN is the largest number: it lands behind the bins, and is left there.
                flat = np.minimum(codes, bins) + cells * (bins + 1)
                np.add.at(total.reshape(-1), flat, weights)
            yield total[:, :bins]

    def _weights(self, order: NDArray[np.intp]) -> Counts:
        """Return the kept images' weights in an order: one number, 1, where they have none."""
        given = [part.weights for part in self._kept if part.weights is not None]
        return np.concatenate(given)[order] if given else np.ones((), np.uint32)

    def _count_if_many(self) -> None:
        """Count the kept images once they are too many."""
        if sum(len(part.cells) for part in self._kept) <= KEPT_IMAGES * self.cells:
            return
        self._counted = list(self.of_columns(range(len(self.bins))))
        self._kept = []

    def pack(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name."""
        packed: dict[str, NDArray[Any]] = {}
        if self._kept:
            packed["cells"] = np.concatenate([part.cells for part in self._kept])
            packed["codes"] = np.concatenate([part.codes for part in self._kept], axis=1)
            if self._kept[0].weights is not None:
                packed["weights"] = np.concatenate([part.weights for part in self._kept])
        if self._counted is not None:
            packed["counted"] = np.concatenate(self._counted, axis=1)
        return packed

    def unpack(self, packed: Mapping[str, NDArray[Any]]) -> Self:
        """Fill this empty object with what :meth:`pack` returned; return itself."""
        if "cells" in packed:
            self._kept = [_Kept(packed["cells"], packed["codes"], packed.get("weights"))]
        if "counted" in packed:
            self._counted = np.split(packed["counted"], np.cumsum(self.bins)[:-1], axis=1)
        return self

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        """Return the sum of the parts as a new object; no part is changed."""
        total = cls(parts[0].cells, parts[0].bins)
        for part in parts:
            total._kept += part._kept
            if part._counted is not None:
                into = total._counted or [np.zeros_like(counted) for counted in part._counted]
                total._counted = [a + b for a, b in zip(into, part._counted, strict=True)]
        total._count_if_many()
        return total
