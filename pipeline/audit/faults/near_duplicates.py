"""Near duplicates: images whose perceptual hashes differ in a few bits."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.atlas import BITS

_BANDS = BITS + 1
_WIDTH = 16
_CROWD = 64
_SET = np.array([byte.bit_count() for byte in range(256)])

Rows = NDArray[np.int64]


def near_duplicates(hashes: Rows) -> Rows:
    """Return the pairs of near duplicates as positions (pairs, 2), the lower one first.

    Exact: of two hashes that differ in three bits, at least one of four bands of 16 bits is the
    same, so only those with a common band are compared. Where more than 64 images share a band,
    each is compared with its next 64 only: in a crowd of duplicates these are enough.
    """
    found = [np.empty((0, 2), np.int64)]
    for band in range(_BANDS):
        key = (hashes >> (band * _WIDTH)) & ((1 << _WIDTH) - 1)
        order = np.lexsort((hashes, key))
        starts = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
        sizes = np.diff(starts)
        for step in range(1, min(int(sizes.max(initial=0)), _CROWD + 1)):
            left, right = order[:-step], order[step:]
            same = key[left] == key[right]
            close = _bits(hashes[left[same]] ^ hashes[right[same]]) <= BITS
            pairs = np.stack([left[same][close], right[same][close]], 1)
            found.append(np.sort(pairs, axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _bits(words: Rows) -> NDArray[np.int64]:
    """Return how many bits are set in each 64-bit word."""
    return np.asarray(_SET[np.ascontiguousarray(words).view(np.uint8)].reshape(-1, 8).sum(axis=1))


def groups_of(pairs: Rows) -> list[Rows]:
    """Return the groups that pairs connect, each ascending, the largest group first."""
    nodes, edges = np.unique(pairs, return_inverse=True)
    edges = edges.reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(nodes),) * 2)
    _, label = connected_components(graph, directed=False)
    order = np.lexsort((nodes, label))
    cuts = [0, *(np.flatnonzero(np.diff(label[order])) + 1).tolist(), len(nodes)]
    groups = [nodes[order[lo:hi]] for lo, hi in pairwise(cuts) if hi > lo]
    return sorted(groups, key=lambda group: (-len(group), int(group[0])))
