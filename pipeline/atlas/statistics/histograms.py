"""``Histograms``: how many images of each cell have a column's value in each bin.

Images' bins are kept as they come, two bytes per column, until counters of all cells would take
less memory; from then on they are counted. A column's histogram is made when it is asked for, so
all of them are never in memory together unless there are very many images.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.binning import Codes
from pipeline.atlas.statistics.membership import Members, segments

Counts = NDArray[np.uint32]

KEPT_IMAGES = 512
"""Images kept per cell before counters (4 bytes of 256 bins) take less than bins (2 bytes)."""


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
        self._kept: list[tuple[NDArray[np.int32], Codes]] = []
        self._counted: list[Counts] | None = None

    def add(self, members: Members, codes: Codes) -> None:
        """Add images with the bins (columns, n) of their values."""
        images, cells, bounds = segments(members, members.ok)
        self._kept.append(
            (np.repeat(cells, np.diff(bounds)).astype(np.int32), np.take(codes, images, axis=1))
        )
        self._count_if_many()

    def of_columns(self, some: Iterable[int]) -> Iterator[Counts]:
        """Yield the histograms of columns, (cells, bins) each.

        Images of a cell are counted one after the other, because counters far apart are slow.
        """
        cells = np.concatenate([np.empty(0, np.int32), *(cells for cells, _ in self._kept)])
        order = np.argsort(cells.astype(np.min_scalar_type(self.cells)), kind="stable")
        cells = cells[order].astype(np.int64)
        for j in some:
            bins = self.bins[j]
            total = np.zeros((self.cells, bins + 1), np.uint32)
            if self._counted is not None:
                total[:, :bins] = self._counted[j]
            if self._kept:
                codes = np.concatenate([codes[j] for _, codes in self._kept])[order]
                # NO_BIN is the largest number: it lands behind the bins, and is left there.
                flat = np.minimum(codes, bins) + cells * (bins + 1)
                np.add.at(total.reshape(-1), flat, np.uint32(1))
            yield total[:, :bins]

    def _count_if_many(self) -> None:
        """Count the kept images once they are too many."""
        if sum(len(cells) for cells, _ in self._kept) <= KEPT_IMAGES * self.cells:
            return
        self._counted = list(self.of_columns(range(len(self.bins))))
        self._kept = []

    def pack(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name."""
        packed: dict[str, NDArray[Any]] = {}
        if self._kept:
            packed["cells"] = np.concatenate([cells for cells, _ in self._kept])
            packed["codes"] = np.concatenate([codes for _, codes in self._kept], axis=1)
        if self._counted is not None:
            packed["counted"] = np.concatenate(self._counted, axis=1)
        return packed

    def unpack(self, packed: Mapping[str, NDArray[Any]]) -> Self:
        """Fill this empty object with what :meth:`pack` returned; return itself."""
        if "cells" in packed:
            self._kept = [(packed["cells"], packed["codes"])]
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
