"""Pairs of perceptual hashes that differ in few bits: all of them, without comparing all.

Hashes that differ in three bits differ in at most three of six bands, so three bands at least are
the same. There are twenty ways to choose three bands of six: the hashes are sorted by each, and
only those with the same three bands, about 32 bits, are compared (Manku, Jain and Das Sarma,
"Detecting near-duplicates for web crawling", WWW 2007). A million hashes take twenty sorts.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.commonness.buckets import pairs_of_equal

BITS = 3
"""Hashes that differ in at most so many of their 63 bits are of near duplicates."""

_BANDS = ((0, 11), (11, 11), (22, 11), (33, 10), (43, 10), (53, 10))  # (first bit, bits)
_MASKS = tuple(((1 << width) - 1) << first for first, width in _BANDS)
_KEYS = tuple(sum(chosen) for chosen in combinations(_MASKS, len(_MASKS) - BITS))

Integer = NDArray[np.int64]


def close_hashes(hashes: Integer) -> Iterator[tuple[Integer, Integer]]:
    """Yield the pairs of hashes (n,) of 63 bits that differ in at most ``BITS``, each pair once.

    As two arrays of positions, of up to n pairs at a time.
    """
    for number, key in enumerate(_KEYS):
        for left, right in pairs_of_equal(hashes & key):
            apart = hashes[left] ^ hashes[right]
            near = np.bitwise_count(apart) <= BITS
            for earlier in _KEYS[:number]:  # the pair was found there
                near &= (apart & earlier) != 0
            if near.any():
                yield left[near], right[near]
