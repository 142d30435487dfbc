"""``hash64``: a row's own random number, the same in every pass and on every machine."""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def hash64(seed: int, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a hash of each row, of any shape.

    The finalizer of SplitMix64 (Steele, Lea and Flood 2014, figure 4), applied to the seed and
    again to the row added to it.
    """
    start = _mix(np.array([(seed + 1) * _GOLDEN & _WORD], np.uint64))
    return _mix(rows.astype(np.uint64) * np.uint64(_GOLDEN) + start)


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed
