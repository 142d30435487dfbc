"""Focus cells: the part of a suspected place that draws the flow of the images that look there."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.causal.edits import cell_numbers, place_mask
from pipeline.store import Run

FOCUS = 0.8
"""Least share of the excess that the focus cells hold; there are as few of them as possible."""

_AVERAGED = 64
"""Most images whose mean flow is taken."""


def focus_cells(
    run: Run, place: str, carriers: Sequence[int], plain: Sequence[int]
) -> tuple[int, ...]:
    """Return the numbers (y · w + x, ascending) of the focus cells of a place.

    The fewest cells that hold ``FOCUS`` of what the carriers' mean flow (all layers, mass 1) has
    more there than the plain images'. All cells of the place where they have no more anywhere.
    """
    height, width = run.spec.input["size"]
    numbers = cell_numbers((height, width), run.spec.grid).numpy().ravel()
    inside = place_mask(place, (height, width), run.spec.grid).numpy().ravel()
    cells = run.spec.grid[0] * run.spec.grid[1]
    part = np.bincount(numbers, inside, cells) / np.maximum(np.bincount(numbers, None, cells), 1)
    excess = part * np.clip(_mean_flow(run, carriers) - _mean_flow(run, plain), 0, None)
    if not excess.any():
        return tuple(np.flatnonzero(part).tolist())
    order = np.argsort(-excess, kind="stable")
    held = np.cumsum(excess[order])
    return tuple(sorted(order[: int(np.searchsorted(held, FOCUS * held[-1])) + 1].tolist()))


def _mean_flow(run: Run, rows: Sequence[int]) -> NDArray[np.float64]:
    """Return the mean (cells,) of the rows' flows, each of mass 1 if it has any; 0 of no row."""
    chosen = np.sort(np.asarray(rows[:_AVERAGED], np.int64))
    if not len(chosen):
        return np.zeros(run.spec.grid[0] * run.spec.grid[1])
    scale = np.asarray(run.scale.oindex[chosen], np.float64)
    maps = np.asarray(run.maps.oindex[chosen], np.float64) * scale[:, :, None, None]
    flows = maps.sum(1).reshape(len(chosen), -1)
    mass = flows.sum(1, keepdims=True)
    mean: NDArray[np.float64] = (flows / np.where(mass > 0, mass, 1)).mean(0)
    return mean
