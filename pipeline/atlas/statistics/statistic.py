"""``Statistic``: what an atlas knows of every class, from adding images to writing arrays.

To add a statistic, implement this protocol and put it into :mod:`pipeline.atlas.state`: nothing
else names one. Its sums are merged by :meth:`Sums.merged`, in any order.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.table import Table

Flat = Mapping[str, NDArray[Any]]
"""Columns of the Parquet table with a row per class: name → (K,)."""

Finish = Callable[[], Sequence[Flat]]
"""Waits until a statistic is written; returns the flat columns of every table."""


class Sums(Protocol):
    """What is added up, cell by cell: a commutative monoid."""

    def pack(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name."""

    def unpack(self, packed: Mapping[str, NDArray[Any]]) -> Self:
        """Fill these empty sums with what :meth:`pack` returned; return themselves."""

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        """Return the sum of the parts; no part is changed."""


Block = TypeVar("Block", contravariant=True)


class Statistic(Protocol[Block]):
    """One statistic; ``Block`` is what it reads: flows or the summary of some images.

    ``sums`` are those of all statistics by name; each touches its own only.
    """

    def empty(self, cells: int) -> dict[str, Sums]:
        """Return its sums over no image, by name."""

    def add(self, sums: Mapping[str, Any], block: Block) -> None:
        """Add images to its sums."""

    def write(self, sums: Mapping[str, Any], tables: Sequence[Table], threads: Executor) -> Finish:
        """Finish the sums for the classes of every table and write them, in threads.

        The bytes do not depend on the number of threads.
        """


def no_columns(tables: Sequence[Table]) -> list[dict[str, NDArray[np.float64]]]:
    """Return the flat columns of a statistic without any."""
    return [{} for _ in tables]
