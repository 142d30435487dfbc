"""What every class shares: cells that stand out from those around them, whatever is to be seen.

A cell that is bright in the mean flow of nearly all classes says nothing on any class: it is
likely an artefact of the model (tokens that it uses as memory) or of the method (padding). In the
middle of the frame it is not: that is where the objects of all classes are.
"""

from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import Atlas

SHARE = 0.9
"""Share of the classes in which a cell must stand out."""
CONTRAST = 1.5
"""How many times brighter than the mean of the cells around it, and than a uniform map."""
LEAST_CLASSES = 4
SINKS = 0.5
"""Mean number of outstanding tokens from which they are mentioned."""


@dataclass(frozen=True)
class Shared:
    """``cells`` (y, x) that stand out in ``least`` to ``most`` of ``classes`` classes."""

    cells: tuple[tuple[int, int], ...]
    grid: tuple[int, int]
    least: int
    most: int
    classes: int
    brightest: float
    """Largest mean lift of such a cell in any class; 1 is uniform."""
    sinks: float | None
    """Mean number of tokens of outstanding norm; None where that is not measured."""

    @property
    def mask(self) -> str:
        """Return the address of a picture that is opaque wherever the cells are not."""
        high, wide = self.grid
        holes = "".join(f"M{x} {y}h1v1h-1z" for y, x in self.cells)
        picture = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {wide} {high}' "
            "preserveAspectRatio='none'><path fill-rule='evenodd' "
            f"d='M0 0h{wide}v{high}h-{wide}z{holes}'/></svg>"
        )
        return f"data:image/svg+xml,{quote(picture, safe='')}"

    @property
    def place(self) -> str:
        """Say where the cells are."""
        high, wide = self.grid
        corners = {(y, x) for y in (0, high - 1) for x in (0, wide - 1)}
        count = len(self.cells)
        if set(self.cells) <= corners:
            what = "corner cell"
        elif all(y in (0, high - 1) or x in (0, wide - 1) for y, x in self.cells):
            what = "cell at the border"
        else:
            what = "cell"
        return what if count == 1 else f"{count} {what.replace('cell', 'cells')}"


def find_shared(atlas: Atlas) -> Shared | None:
    """Return what nearly all classes share; None where they share no such cell.

    Cells in the middle half of the frame, in both directions, do not count.
    """
    means = np.nan_to_num(atlas.flow_mean[atlas.weight_with_mass > 0, -1])
    classes, high, wide = means.shape
    if classes < LEAST_CLASSES or min(high, wide) < 4:
        return None
    lifts = means * high * wide
    bright = (lifts >= CONTRAST) & (lifts >= CONTRAST * _around(lifts))
    bright[:, high // 4 : high - high // 4, wide // 4 : wide - wide // 4] = False
    often = bright.sum(axis=0)
    chosen = often >= SHARE * classes
    if not chosen.any():
        return None
    sinks = None
    if "sink_cells" in atlas.columns:
        mean, _, images = atlas.column_moments("sink_cells")
        total = int(images.sum())
        value = float(np.nansum(mean * images) / total) if total else 0.0
        sinks = value if value >= SINKS else None
    return Shared(
        cells=tuple((int(y), int(x)) for y, x in np.argwhere(chosen)),
        grid=(high, wide),
        least=int(often[chosen].min()),
        most=int(often[chosen].max()),
        classes=classes,
        brightest=float(lifts[:, chosen].max()),
        sinks=sinks,
    )


def _around(lifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the up to eight cells around each cell, (K, h, w)."""
    _, high, wide = lifts.shape
    total, number = np.zeros_like(lifts), np.zeros((high, wide))
    padded = np.pad(lifts, ((0, 0), (1, 1), (1, 1)))
    ones = np.pad(np.ones((high, wide)), 1)
    for dy in range(3):
        for dx in range(3):
            if (dy, dx) != (1, 1):
                total += padded[:, dy : dy + high, dx : dx + wide]
                number += ones[dy : dy + high, dx : dx + wide]
    around: NDArray[np.float64] = total / number
    return around
