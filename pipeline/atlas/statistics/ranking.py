"""``Ranked``: the k images with the least keys of every class, whatever order they come in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.sums import Integer


@dataclass(frozen=True)
class Ranked:
    """Images in order of class, then key (ascending), then row; equal sets are equal arrays.

    ``pooled`` (n, cells) goes with them; it may have no columns.
    """

    classes: Integer
    keys: Integer
    rows: Integer
    pooled: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.rows)


def ranked(
    classes: Integer, keys: Integer, rows: Integer, pooled: NDArray[np.uint16] | None = None
) -> Ranked:
    """Return images in any order, not yet ranked: :func:`merge` does that."""
    if pooled is None:
        pooled = np.empty((len(rows), 0), np.uint16)
    return Ranked(classes, keys, rows, pooled)


def merge(parts: Sequence[Ranked], k: int) -> Ranked:
    """Return the ``k`` images with the least keys of every class; ties go to the lower row."""
    classes = np.concatenate([part.classes for part in parts])
    keys = np.concatenate([part.keys for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    order = np.lexsort((rows, keys, classes))
    classes = classes[order]
    best = np.arange(len(order)) - np.searchsorted(classes, classes) < k
    order = order[best]
    pooled = np.concatenate([part.pooled for part in parts])
    return Ranked(classes[best], keys[order], rows[order], pooled[order])
