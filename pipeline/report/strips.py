"""Film-strips: the mean maps of a class, and of the run, one tile per layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.report.figures import Sprite, levels, sprite

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Strip:
    """One statistic's map in every layer, on one colour scale."""

    title: str
    note: str
    first: int
    """Place of layer 0 in the sprite."""
    peak: float
    """What the brightest colour means; 1 is a uniform map."""
    shares: tuple[float, ...] = ()
    """Each layer's share of the mass, where that is known."""


def class_strips(
    atlas: Atlas, position: int, shares: Sequence[float]
) -> tuple[Sprite, tuple[Strip, ...]]:
    """Draw the strips of the class at a position of the atlas into one sprite, a row each."""
    maps = (
        atlas.flow_mean[position],
        atlas.mean[position],
        np.sqrt(atlas.flow_variance[position]),
    )
    layers = len(maps[0])
    accumulated, own, deviation = (_peak(values) for values in maps)
    strips = (
        Strip("Accumulated", "The mean flow: all layers up to this one.", 0, accumulated),
        Strip(
            "Layer by layer",
            "The mean map of each layer alone, and its share of the mass.",
            layers,
            own,
            tuple(shares),
        ),
        Strip(
            "Deviation",
            "Where images of the class differ: standard deviation of the accumulated flow.",
            2 * layers,
            deviation,
        ),
    )
    return sprite(np.concatenate([levels(values) for values in maps]), layers), strips


def run_strip(atlas: Atlas) -> tuple[Sprite, Strip]:
    """Draw the accumulated flow averaged over all images that have one."""
    weights = (atlas.count - atlas.n_zero).astype(np.float64)
    total = np.einsum("k,klyx->lyx", weights, np.nan_to_num(atlas.flow_mean))
    mean = total / max(weights.sum(), 1.0)
    strip = Strip("Accumulated", "All images", 0, _peak(mean))
    return sprite(levels(mean), len(mean)), strip


def thumbnails(atlas: Atlas, positions: Sequence[int]) -> Sprite:
    """Draw the final mean flow of classes, each on its own scale, into one square sprite."""
    last = atlas.flow_mean[list(positions), -1]
    tiles = [levels(values) for values in last] or [np.zeros(last.shape[1:], np.uint8)]
    return sprite(np.stack(tiles), isqrt(len(tiles) - 1) + 1)


def _peak(values: Float) -> float:
    """Return the maximum of maps (L, h, w) that sum to 1, as a multiple of a uniform map."""
    return float(np.nan_to_num(values).max(initial=0.0)) * int(values[0].size)
