"""``ClassSums``: int64 sums per class, the commutative monoid the class statistics live in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FlowatlasError

ONE = 1 << 32
"""Fixed-point unit: a value in [0, 1] is added as ``rint(value * ONE)``, so every sum is an
integer, exact, and the same in whatever order it was made. Rounding is at most 2**-33 per image."""

COUNT_LIMIT = (1 << 31) - 1
"""Images of one class: ``COUNT_LIMIT * ONE`` still fits an int64."""

Shapes = Mapping[str, tuple[int, ...]]


class ClassSums:
    """Integer sums with one row per class.

    Rows of absent classes are zero pages that were never touched, so they take no memory, and
    pickling sends the rows of present classes only.

    Attributes
    ----------
    shapes : mapping from name to the shape of one class' row
    count : (K,) int64
        Images added per class; what guards the sums against overflow.
    present : (K,) bool
        Classes that anything was added to.
    """

    def __init__(self, classes: int, shapes: Shapes) -> None:
        self.shapes = dict(shapes)
        self.count = np.zeros(classes, np.int64)
        self.present = np.zeros(classes, np.bool_)
        self._arrays = {name: _zeros(classes, shape) for name, shape in self.shapes.items()}

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        return self._arrays[name]

    def admit(self, classes: NDArray[np.int64]) -> None:
        """Count images by class, before their values are added.

        Raises
        ------
        FlowatlasError
            A class has more images than its int64 sums can hold.
        """
        self.count += np.bincount(classes, minlength=len(self.count))
        self.present[classes] = True
        _check(self.count)

    def __getstate__(self) -> dict[str, Any]:
        rows = np.flatnonzero(self.present)
        packed = {name: array[rows] for name, array in self._arrays.items()}
        return {"shapes": self.shapes, "count": self.count, "rows": rows, "packed": packed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(len(state["count"]), state["shapes"])  # type: ignore[misc]
        self.count[:] = state["count"]
        self.present[state["rows"]] = True
        for name, values in state["packed"].items():
            self._arrays[name][state["rows"]] = values


def merge(parts: Sequence[ClassSums]) -> ClassSums:
    """Return the sum of the parts as a new object; no part is changed.

    Raises
    ------
    FlowatlasError
        A class has more images than its int64 sums can hold.
    """
    first = parts[0]
    total = ClassSums(len(first.count), first.shapes)
    for part in parts:
        total.count += part.count
        total.present |= part.present
        for name in first.shapes:
            into, values = total[name], part[name]
            for row in np.flatnonzero(part.present):
                into[row] += values[row]
    _check(total.count)
    return total


def _zeros(classes: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    return np.zeros((classes, *shape), np.int64)


def _check(count: NDArray[np.int64]) -> None:
    if count.size and int(count.max()) > COUNT_LIMIT:
        raise FlowatlasError(
            f"class {int(count.argmax())} has {int(count.max())} images, and exact sums hold "
            f"{COUNT_LIMIT}; split the dataset into several runs"
        )
