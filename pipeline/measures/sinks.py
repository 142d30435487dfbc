"""Attention that does not go to the image: tokens of outstanding norm act as sinks."""

import torch
from torch import Tensor

SIGMAS = 6.0
_MAD_TO_SIGMA = 1.4826


def sinks(token_norm: Tensor) -> Tensor:
    """Return which patch tokens have an outstanding norm, (B, n) bool of (B, h, w).

    ``token_norm`` holds the norms of the last block's patch tokens; one is outstanding if it
    exceeds median + 6 · 1.4826 · MAD of its image, six standard deviations of a normal
    distribution. Such tokens hold global, not local, information (Darcet et al. 2024, section
    2.1, whose fixed threshold fits one model only).
    """
    norms = token_norm.flatten(1)
    centre = _median(norms)
    deviation = _median((norms - centre).abs())
    return norms > centre + SIGMAS * _MAD_TO_SIGMA * deviation


def sink_cells(token_norm: Tensor) -> Tensor:
    """Return how many patch tokens have an outstanding norm (:func:`sinks`), (B,), numbers ≥ 0.

    NaN where a norm is not finite.
    """
    count = sinks(token_norm).sum(1).to(token_norm.dtype)
    return torch.where(token_norm.flatten(1).isfinite().all(1), count, torch.nan)


def _median(values: Tensor) -> Tensor:
    """Return the median of (B, n) as (B, 1), the mean of the middle two where n is even."""
    ascending = values.sort(1).values
    size = values.shape[1]
    low, high = (size - 1) // 2, size // 2
    return (ascending[:, low : low + 1] + ascending[:, high : high + 1]) / 2
