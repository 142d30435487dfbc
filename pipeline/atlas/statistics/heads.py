"""Class sums of the statistics of attention heads: mean and variance per layer and head.

Values are float16 in [0, 1], so in fixed point (:mod:`pipeline.atlas.statistics.sums`) they are
exact, and squares are exact to 2**-33. Where an image has no value it adds nothing.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.block import FlowBlock
from pipeline.atlas.statistics.membership import Members, segments
from pipeline.atlas.statistics.statistic import Finish, Sums, no_columns
from pipeline.atlas.statistics.sums import ONE, WEIGHT_ONE, ClassSums, Integer, weigh
from pipeline.atlas.statistics.table import Table

Float = NDArray[np.float64]
_AXES = ("class", "head_layer", "head", "statistic")
_BLOCK = 256
"""Images worked on at once."""
_TOGETHER = 128  # classes that are a chunk


class Heads:
    """The statistic of attention heads, of ``shape`` (L, H, S)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def empty(self, cells: int) -> dict[str, Sums]:
        """Return its sums over no image, by name."""
        return {"heads": ClassSums(cells, dict.fromkeys(("known", "total", "square"), self.shape))}

    def add(self, sums: Mapping[str, Any], block: FlowBlock) -> None:
        """Add the heads of images."""
        if block.heads is None:
            raise ValueError("the block was read without the statistics of heads")
        add_heads(sums["heads"], block.members, block.heads)

    def write(self, sums: Mapping[str, Any], tables: Sequence[Table], threads: Executor) -> Finish:
        """Write how many images have a value, mean and variance."""
        written = [threads.submit(self._write, sums["heads"], table) for table in tables]

        def finish() -> list[dict[str, Float]]:
            for future in written:
                future.result()
            return no_columns(tables)

        return finish

    def _write(self, total: ClassSums, table: Table) -> None:
        shape = (len(table.parts), *self.shape)
        types = {"head_known": "int64", "head_mean": "float32", "head_variance": "float32"}
        arrays = [
            table.create(name, shape, dtype, _AXES, together=_TOGETHER)
            for name, dtype in types.items()
        ]
        for lo in range(0, len(table.parts), _TOGETHER):
            some = slice(lo, lo + _TOGETHER)
            for array, values in zip(arrays, finish_heads(total, table.parts[some]), strict=True):
                array[some] = values


def add_heads(total: ClassSums, members: Members, heads: NDArray[np.float16]) -> None:
    """Add the statistics (n, L, H, S) of images; NaN counts nowhere."""
    images, cells, bounds = segments(members, members.ok)
    total.admit(np.repeat(cells, np.diff(bounds)))
    for cell, lo, hi in zip(cells, bounds[:-1], bounds[1:], strict=True):
        for start in range(lo, hi, _BLOCK):
            some = images[start : min(start + _BLOCK, hi)]
            values, worth = heads[some].astype(np.float64), members.worth[some]
            weights = None if members.weights is None else worth
            known = np.isfinite(values)
            values[~known] = 0
            total["known"][cell] += np.tensordot(worth, known, 1)
            # Sums of 256 whole numbers up to 2**32 are exact in float64.
            for name, fixed in (("total", values * ONE), ("square", values * values * ONE)):
                total[name][cell] += weigh(np.rint(fixed), weights).sum(axis=0).astype(np.int64)


def finish_heads(total: ClassSums, parts: Integer) -> tuple[Integer, Float, Float]:
    """Return known, mean and variance (population) of classes, (K, L, H, S); NaN without value.

    ``known`` is a number of images: the sum of their weights, rounded.
    """
    known, sums, squares = (total.composed(name, parts) for name in ("known", "total", "square"))
    weight = np.where(known > 0, known / WEIGHT_ONE, np.nan) * float(ONE)
    mean = sums / weight
    images = (known + WEIGHT_ONE // 2) // WEIGHT_ONE
    return images, mean, np.maximum(squares / weight - mean * mean, 0)
