"""Pairs with equal keys: what a hash table has in one bucket."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Integer = NDArray[np.int64]


def pairs_of_equal(keys: Integer) -> Iterator[tuple[Integer, Integer]]:
    """Yield the pairs of positions whose keys (n,), none below 0, are equal, each once.

    As two arrays of up to n positions. The time is that of a sort, and of the pairs.
    """
    order = np.argsort(keys, kind="stable")
    bounds = np.flatnonzero(np.diff(keys[order], prepend=-1, append=-1))
    ends = np.repeat(bounds[1:], np.diff(bounds))
    place, step = np.arange(len(keys)), 1
    while len(place := place[place + step < ends[place]]):
        yield order[place], order[place + step]
        step += 1
