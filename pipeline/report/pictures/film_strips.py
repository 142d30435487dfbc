"""Film-strips: the mean maps of a class, and of the run, one tile per layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.report.pictures.sprites import Sprite, levels, sprite

Float = NDArray[np.float64]

_BELOW_BRIGHT = 0.975


@dataclass(frozen=True)
class Strip:
    """One statistic's map in every layer, on one colour scale."""

    title: str
    note: str
    first: int
    """Place of layer 0 in the sprite."""
    bright: float
    """From where the brightest colour is shown; 1 is a uniform map."""
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
    layers, cells = len(maps[0]), maps[0][0].size
    tops = [bright(values) for values in maps]
    accumulated, own, deviation = (top * cells for top in tops)
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
    drawn = [levels(values, top) for values, top in zip(maps, tops, strict=True)]
    return sprite(np.concatenate(drawn), layers), strips


def run_strip(atlas: Atlas) -> tuple[Sprite, Strip]:
    """Draw the accumulated flow averaged over all images that have one."""
    weights = atlas.weight_with_mass
    total = np.einsum("k,klyx->lyx", weights, np.nan_to_num(atlas.flow_mean))
    mean = total / max(weights.sum(), 1.0)
    top = bright(mean)
    strip = Strip("Accumulated", "All images", 0, top * mean[0].size)
    return sprite(levels(mean, top), len(mean)), strip


def thumbnails(atlas: Atlas, positions: Sequence[int]) -> Sprite:
    """Draw the final mean flow of classes, each on its own scale, into one square sprite."""
    last = atlas.flow_mean[list(positions), -1]
    tiles = [levels(values, bright(values)) for values in last] or [
        np.zeros(last.shape[1:], np.uint8)
    ]
    return sprite(np.stack(tiles), isqrt(len(tiles) - 1) + 1)


def bright(values: Float) -> float:
    """Return what the brightest colour stands for: more than all but 1 in 40 cells have.

    A few cells that collect mass in every image (the corners, in many transformers) would
    otherwise leave the rest in the dark.
    """
    known = np.nan_to_num(values)
    return float(np.quantile(known, _BELOW_BRIGHT)) or float(known.max(initial=0.0))
