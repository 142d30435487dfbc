"""``ClassSums``: int64 sums per cell, the commutative monoid the class statistics live in."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FlowatlasError
from pipeline.nouns import counted

ONE = 1 << 32
"""Fixed-point unit: a value in [0, 1] is added as ``rint(value * ONE)``, so every sum is an
integer, exact, and the same in whatever order it was made. Rounding is at most 2**-33 per image."""

COUNT_LIMIT = (1 << 29) - 1
"""Images of one cell: four times ``COUNT_LIMIT * ONE`` still fits an int64."""

WEIGHT_ONE = 1 << 16
"""Fixed-point unit of an image's weight: that of every image where an atlas is not weighted."""

Integer = NDArray[np.int64]
Float = NDArray[np.float64]
Shapes = Mapping[str, tuple[int, ...]]


def weigh(fixed: Float, weights: Integer | None) -> Float:
    """Return whole numbers (n, …) times weights (n,) ÷ ``WEIGHT_ONE``, rounded to whole numbers.

    Image by image, so that sums of them are the same in any order; unchanged without weights.
    Exact before the rounding for numbers up to ``2**36``.
    """
    if weights is None:
        return fixed
    factor = (weights / WEIGHT_ONE).reshape(-1, *[1] * (fixed.ndim - 1))
    return np.asarray(np.rint(fixed * factor))


class ClassSums:
    """Integer sums with one row per cell (or class).

    Rows of absent cells are zero pages that were never touched, so they take no memory, and
    pickling sends the rows of present cells only.

    Attributes
    ----------
    shapes : mapping from name to the shape of one cell's row
    count : (K,) int64
        Images added per cell; what guards the sums against overflow.
    present : (K,) bool
        Cells that anything was added to.
    """

    def __init__(self, cells: int, shapes: Shapes) -> None:
        self.shapes = dict(shapes)
        self.count = np.zeros(cells, np.int64)
        self.present = np.zeros(cells, np.bool_)
        self._arrays = {name: _zeros(cells, shape) for name, shape in self.shapes.items()}

    def __getitem__(self, name: str) -> Integer:
        return self._arrays[name]

    def admit(self, cells: Integer) -> None:
        """Count images by cell, before their values are added.

        Raises
        ------
        FlowatlasError
            A cell has more images than its int64 sums can hold.
        """
        self.count += np.bincount(cells, minlength=len(self.count))
        self.present[cells] = True
        _check(self.count)

    def composed(self, name: str, parts: Integer) -> Integer:
        """Return sums of some classes, each the sum of its cells ``parts`` (classes, m)."""
        values = self.count if name == "count" else self._arrays[name]
        total = values[parts[:, 0]]
        for cells in parts.T[1:]:
            for i in np.flatnonzero(self.present[cells]):
                total[i] += values[cells[i]]
        return total

    def pack(self) -> dict[str, NDArray[Any]]:
        """Return the rows of present cells and their numbers, as arrays by name."""
        rows = np.flatnonzero(self.present)
        packed = {name: array[rows] for name, array in self._arrays.items()}
        return {"count": self.count, "rows": rows, **packed}

    def unpack(self, packed: Mapping[str, NDArray[Any]]) -> Self:
        """Fill these empty sums with what :meth:`pack` returned; return themselves."""
        self.count[:] = packed["count"]
        self.present[packed["rows"]] = True
        for name, array in self._arrays.items():
            array[packed["rows"]] = packed[name]
        return self

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        """Return the sum of the parts; no part is changed, but one alone is its own sum.

        Raises
        ------
        FlowatlasError
            A cell has more images than its int64 sums can hold.
        """
        first, *others = [part for part in parts if part.present.any()] or parts[:1]
        if not others:
            return first
        total = cls(len(first.count), first.shapes)
        for part in (first, *others):
            known = total.present.copy()
            total.count += part.count
            total.present |= part.present
            for name in first.shapes:
                into, values = total[name], part[name]
                for row in np.flatnonzero(part.present):
                    if known[row]:
                        into[row] += values[row]
                    else:
                        into[row] = values[row]
        _check(total.count)
        return total

    def __getstate__(self) -> dict[str, Any]:
        return {"cells": len(self.count), "shapes": self.shapes, "packed": self.pack()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["cells"], state["shapes"])  # type: ignore[misc]
        self.unpack(state["packed"])


def _zeros(cells: int, shape: tuple[int, ...]) -> Integer:
    return np.zeros((cells, *shape), np.int64)


def _check(count: Integer) -> None:
    if count.size and int(count.max()) > COUNT_LIMIT:
        raise FlowatlasError(
            f"a class has {counted(int(count.max()), 'image')}, and exact sums hold "
            f"{COUNT_LIMIT:,}; split the dataset into several runs"
        )
