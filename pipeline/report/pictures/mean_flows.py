"""Mean flows of two runs side by side, and where the other run has more or less."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.report.pictures.film_strips import bright
from pipeline.report.pictures.palettes import DIVERGING
from pipeline.report.pictures.sprites import Sprite, levels, signed_levels, sprite

Float = NDArray[np.float64]


@dataclass(frozen=True)
class MeanFlow:
    """A class, or the whole (``name`` None), and its difference in words."""

    name: str | None
    words: str


@dataclass(frozen=True)
class MeanFlows:
    """Maps of ``rows``: two tiles each in ``film``, this run's and the other's, one in ``signed``.

    All tiles of a sprite share a scale: ``top`` is what the brightest colour of the first stands
    for, and ``most`` what the ends of the other do, as multiples of a uniform map.
    """

    rows: tuple[MeanFlow, ...]
    film: Sprite
    signed: Sprite
    top: float
    most: float


def draw_mean_flows(table: pa.Table) -> MeanFlows | None:
    """Draw the maps that a comparison left; None where it left none."""
    rows = table.to_pylist()
    if not rows:
        return None
    grid = rows[0]["height"], rows[0]["width"]
    pairs = np.array([[row["flow"], row["other_flow"]] for row in rows]).reshape(-1, 2, *grid)
    gained = pairs[:, 1] - pairs[:, 0]
    top, most = bright(pairs), bright(np.abs(gained))
    cells = grid[0] * grid[1]
    return MeanFlows(
        rows=tuple(
            MeanFlow(row["class_name"], _words(each))
            for row, each in zip(rows, gained, strict=True)
        ),
        film=sprite(levels(pairs.reshape(-1, *grid), top), 2),
        signed=sprite(signed_levels(gained, most), 1, DIVERGING),
        top=top * cells,
        most=most * cells,
    )


def _words(gained: Float) -> str:
    """Say where the other run has most more, and where most less."""
    if not gained.any():
        return "no difference"
    more, less = (_place(int(index), gained.shape) for index in (gained.argmax(), gained.argmin()))
    return f"most gained {more}, most lost {less}"


def _place(cell: int, grid: tuple[int, ...]) -> str:
    y, x = divmod(cell, grid[1])
    row = ("at the top", "", "at the bottom")[min(2, 3 * y // grid[0])]
    column = ("left", "", "right")[min(2, 3 * x // grid[1])]
    if not row:
        return f"at the {column}" if column else "in the middle"
    return f"{row} {column}".strip()
