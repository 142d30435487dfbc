"""The most and least typical images of every class: order-free top-k by distance to its mean.

The distance of an image is the mean over layers of the total variation ½ Σ |P_b − μ_b| between its
accumulated, normalised map P_b and the class mean μ_b: in [0, 1], 0 if all its maps equal the mean.
It follows the whole flow, not only where it ends. Layers up to which an image has no mass are left
out of its mean; an image without any mass has no distance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.maps import BLOCK, Float, normalise
from pipeline.atlas.members import Members
from pipeline.atlas.sums import ONE

Integer = NDArray[np.int64]


@dataclass(frozen=True)
class Ranked:
    """Images in order of class, then key (ascending), then row; equal sets are equal arrays."""

    classes: Integer
    keys: Integer
    rows: Integer

    def __len__(self) -> int:
        return len(self.rows)


def empty() -> Ranked:
    """Return the neutral element of :func:`merge`."""
    none = np.empty(0, np.int64)
    return Ranked(none, none, none)


def merge(parts: Sequence[Ranked], k: int) -> Ranked:
    """Return the ``k`` images with the least keys of every class; ties go to the lower row."""
    classes = np.concatenate([part.classes for part in parts])
    keys = np.concatenate([part.keys for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    order = np.lexsort((rows, keys, classes))
    classes = classes[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)
    order = order[rank < k]
    return Ranked(classes[rank < k], keys[order], rows[order])


@dataclass(frozen=True)
class Extremes:
    """Most typical images (key: fixed-point distance) and least typical (key: its negative)."""

    typical: Ranked
    atypical: Ranked


def no_extremes() -> Extremes:
    """Return the neutral element of :func:`merge_extremes`."""
    return Extremes(empty(), empty())


def merge_extremes(parts: Sequence[Extremes], k: int) -> Extremes:
    """Return the extremes of the union of the parts' images."""
    return Extremes(
        merge([part.typical for part in parts], k), merge([part.atypical for part in parts], k)
    )


def unit_extremes(
    members: Members, maps: NDArray[np.float32], means: Mapping[str, Float], k: int
) -> dict[str, Extremes]:
    """Return the extremes of a unit in every table.

    Parameters
    ----------
    maps : (n, L, h, w) float32, raw
    means : table → (K, L, h, w) float64, class means of the accumulated p
    """
    keys = distances(members, maps, means)
    found = {}
    for table, key in keys.items():
        used = key >= 0
        classes, rows = members.classes[table][used], members.rows[used]
        found[table] = Extremes(
            merge([Ranked(classes, key[used], rows)], k),
            merge([Ranked(classes, -key[used], rows)], k),
        )
    return found


def distances(
    members: Members, maps: NDArray[np.float32], means: Mapping[str, Float]
) -> dict[str, Integer]:
    """Return table → (n,) distances in fixed point (``2**32`` is 1), -1 where there is none."""
    n, layers = maps.shape[:2]
    found = {table: np.full(n, -1, np.int64) for table in means}
    for lo in range(0, n, BLOCK):
        flow = maps[lo : lo + BLOCK].reshape(-1, layers, maps[0, 0].size).astype(np.float64)
        np.cumsum(flow, axis=1, out=flow)
        defined = ~normalise(flow)
        layers_used = defined.sum(axis=1)
        ok = members.ok[lo : lo + BLOCK] & (layers_used > 0)
        for table, mean in means.items():
            group = members.classes[table][lo : lo + BLOCK]
            gap = mean[group].reshape(flow.shape)
            gap -= flow
            apart = np.abs(gap, out=gap).sum(axis=2)
            apart[~defined | (group < 0)[:, None]] = 0
            key = np.rint(apart.sum(axis=1) / np.maximum(layers_used, 1) * (ONE / 2))
            found[table][lo : lo + BLOCK] = np.where(ok & (group >= 0), key, -1)
    return found
