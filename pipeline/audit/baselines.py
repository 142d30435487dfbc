"""Maps that know nothing of a model, beside which its flows are read."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Float = NDArray[np.float64]

BASELINES = {
    "shuffled": "Shuffled weights",
    "edges": "Edges in the pixels",
    "centre": "Centre prior",
    "random": "Random cells",
}
"""What they are called."""


def edges(pixels: Tensor, grid: tuple[int, int]) -> Float:
    """Return the mean slope of the luma in every cell, (n, cells), of images (n, 3, H, W)."""
    grey = functional.pad(pixels.double().mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) / 2
    down = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) / 2
    slope = (across * across + down * down).sqrt()
    return np.asarray(functional.adaptive_avg_pool2d(slope, grid).flatten(1).numpy())


def centre(grid: tuple[int, int]) -> Float:
    """Return a Gaussian about the centre, a quarter of the frame wide, (cells,)."""
    axes = [np.exp(-8 * (((np.arange(side) + 0.5) / side) - 0.5) ** 2) for side in grid]
    return np.outer(*axes).reshape(-1)
