"""Tones: colours and brightness of some images against those of the rest, as one change of both.

First the linear map between the colours of all pixels that moves them least (the optimal transport
of two normal distributions: Pitié & Kokaram, "The linear Monge-Kantorovitch linear colour mapping
for example-based colour transfer", 2007), which tints, fades and greys; then a curve for every
channel, which clips.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audit.screening.estimates.transfers import as_image

Float = NDArray[np.float64]

_EVERY = 4
"""Of so many pixels of a row and of a column, one is looked at."""

_LEVELS = np.linspace(0.002, 0.998, 33)
"""Quantiles that a curve goes through."""


@dataclass(frozen=True)
class Tone:
    """``matrix`` (3, 3) about ``usual`` (3,), plus ``mean`` (3,); then curves (3, 33) → (3, 33)."""

    matrix: Float
    usual: Float
    mean: Float
    of: Float
    to: Float

    def onto(self, images: Tensor) -> Tensor:
        """Change the colours of images (n, 3, H, W) uint8."""
        flat = images.double().transpose(0, 1).flatten(1).numpy()
        moved = self._linear(flat)
        curved = [np.interp(*channel) for channel in zip(moved, self.of, self.to, strict=True)]
        shape = (3, len(images), *images.shape[2:])
        return as_image(torch.from_numpy(np.stack(curved)).view(shape).transpose(0, 1))

    def _linear(self, colours: Float) -> Float:
        moved: Float = self.matrix @ (colours - self.usual[:, None]) + self.mean[:, None]
        return moved


def estimate_tone(group: Tensor, rest: Tensor) -> Tone:
    """Estimate what makes the colours of the rest (r, 3, H, W) uint8 those of a group."""
    own, other = (_colours(part) for part in (group, rest))
    usual, mean = other.mean(1), own.mean(1)
    root, inverse = _roots(np.cov(other) + np.eye(3))
    middle, _ = _roots(root @ np.cov(own) @ root)
    straight = Tone(inverse @ middle @ inverse, usual, mean, np.empty(0), np.empty(0))
    of = np.quantile(straight._linear(other), _LEVELS, axis=1).T
    # Levels that fall together would be no function.
    of = np.maximum.accumulate(of + 1e-6 * np.arange(len(_LEVELS)), axis=1)
    to = np.quantile(own, _LEVELS, axis=1).T
    return Tone(straight.matrix, usual, mean, of, to)


def _colours(images: Tensor) -> Float:
    """Return colours of images (n, 3, H, W), (3, m)."""
    seen = images[:, :, ::_EVERY, ::_EVERY].double().transpose(0, 1).flatten(1)
    return np.asarray(seen.numpy(), np.float64)


def _roots(matrix: Float) -> tuple[Float, Float]:
    """Return the root of a covariance and its inverse."""
    values, vectors = np.linalg.eigh(matrix)
    roots = np.sqrt(values.clip(1e-2))
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
