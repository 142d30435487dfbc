"""Pooled maps: where an image's accumulated flow ends, on 7 × 7 boxes at most, in two bytes each.

They are small enough to be kept for every image, so that what needs a second pass over all images
(distances, principal axes, clusters) never reads the maps again.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.storage import ObjectStore as ZarrStore

from pipeline.atlas.statistics.sums import ONE
from pipeline.atlas.statistics.table import WHOLE
from pipeline.store import Run

SIDE = 7
"""Most boxes along a side."""

POOLED_ONE = 1 << 15
"""Fixed-point unit of a pooled map: its boxes sum to about ``POOLED_ONE``, or to 0 without mass."""

_SHIFT = (ONE // POOLED_ONE).bit_length() - 1


def pooled_grid(grid: tuple[int, ...]) -> tuple[int, int]:
    """Return how many boxes (y, x) a grid (h, w) is pooled to."""
    return min(grid[0], SIDE), min(grid[1], SIDE)


def pool(fixed: NDArray[Any]) -> NDArray[np.uint16]:
    """Sum fixed-point maps (n, h, w) of unit ``ONE`` over boxes, into units of ``POOLED_ONE``.

    Whole numbers, of any type. Mass is kept; where a side is no multiple of its boxes, some boxes
    are a cell wider.
    """
    grid = fixed.shape[1:]
    boxes = fixed.reshape(len(fixed), -1).astype(np.float64, copy=False) @ _boxes(grid)
    pooled = np.floor((boxes + (1 << (_SHIFT - 1))) * 2.0**-_SHIFT).astype(np.uint16)
    return pooled.reshape(len(fixed), *pooled_grid(grid))


@lru_cache
def _boxes(grid: tuple[int, int]) -> NDArray[np.float64]:
    """Return which cells (h · w) are in which box (y · x), 0 or 1: sums of them are exact."""
    sides = []
    for side, boxes in zip(grid, pooled_grid(grid), strict=True):
        starts = np.arange(boxes) * side // boxes
        box = np.searchsorted(starts, np.arange(side), side="right") - 1
        sides.append(np.eye(boxes)[box])
    return np.kron(*sides).astype(np.float64)


def create_pooled(run: Run, path: str) -> None:
    """Create the array of all pooled maps (image, pooled_y, pooled_x), a chunk per unit."""
    grid = pooled_grid(run.spec.grid)
    zarr.create_array(
        ZarrStore(run.store),
        name=path,
        shape=(run.spec.rows, *grid),
        chunks=(run.spec.unit_rows, *grid),
        dtype="uint16",
        compressors=ZstdCodec(level=1),
        dimension_names=("image", "pooled_y", "pooled_x"),
        attributes={"value": f"accumulated p, summed over boxes, times {POOLED_ONE}"},
        fill_value=0,
        overwrite=True,
    )


def open_pooled(run: Run, path: str, mode: str = "r") -> Any:
    """Open the array of all pooled maps."""
    store = ZarrStore(run.store, read_only=mode == "r")
    return zarr.open_array(store, path=path, mode=mode, config=WHOLE)
