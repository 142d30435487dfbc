"""Bins of activations: fixed for every model and dataset, so that counts add up. Needs no torch.

Edges are equally spaced in asinh(x / 0.1): near 0 a bin is 0.015 wide, and far from it 15 % of the
value; the first and the last bin are open and begin at -635 and 635. An edge is 0.
"""

import numpy as np
from numpy.typing import NDArray

BINS = 128

EDGES: NDArray[np.float32] = (0.1 * np.sinh(0.15 * np.arange(1 - BINS // 2, BINS // 2))).astype(
    np.float32
)
"""Inner edges, (127,): bin i holds ``EDGES[i - 1] <= x < EDGES[i]``."""


def places() -> NDArray[np.float64]:
    """Return the value that stands for each bin, (128,): its middle, of the open ones their end."""
    inner = EDGES.astype(np.float64)
    return np.concatenate([inner[:1], (inner[1:] + inner[:-1]) / 2, inner[-1:]])
