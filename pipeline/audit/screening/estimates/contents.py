"""Contents: the same thing at another place in every image, found by what it looks like.

A small window of one image is looked for everywhere in others, by its correlation with every window
of theirs (Lewis, "Fast normalized cross-correlation", 1995). An object is never twice the same in
photographs, what was put into them is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Float = NDArray[np.float64]

_FINEST = 80
"""Pixels of a side at which windows are compared, up to twice as many."""

_WINDOWS = 8
"""A window is this part of a side."""

_MARGIN = 4
"""Pixels around a spot in which a window of another spot is looked for first."""

_STRIDE = 3
"""Pixels from one window of a spot to the next."""

_FAINT = 6.0
"""Deviation of a window, in levels, up to which it is mostly flat."""

_TEXTURED = 12.0
"""Least deviation of a window that is looked for."""

_TURNS = 0.15
"""Least ratio of the eigenvalues of a window's structure tensor (Förstner & Gülch, 1987)."""

_FIRST = 64
"""Windows that are looked for in images of other classes."""

_CHUNK = 64


@dataclass(frozen=True)
class Content:
    """A window (3, t, t), of mean 0 in each channel and norm 1, and the image it is from."""

    window: Tensor
    owner: int


def reduced(images: Tensor) -> Tensor:
    """Return images (n, 3, H, W) uint8 at the size at which windows are compared, uint8."""
    coarser = max(1, min(images.shape[2:]) // _FINEST)
    return functional.avg_pool2d(images.float(), coarser).round().to(torch.uint8)


def likely_contents(
    images: Tensor,
    tops: Sequence[int],
    lefts: Sequence[int],
    side: int,
    elsewhere: Tensor,
    least: float,
) -> list[Content]:
    """Return windows of spots that others of the spots have, too, the most alike first.

    A straight edge is in every image, so that a window counts by how much more alike it is in other
    spots than anywhere in some images of other classes.

    Parameters
    ----------
    images
        (n, 3, h, w) uint8, :func:`reduced`.
    tops, lefts, side
        Pixels of every image's spot.
    elsewhere
        (m, 3, h, w) uint8, reduced images of other classes.
    least
        Correlation from which two windows count as the same.
    """
    size = min(images.shape[2:]) // _WINDOWS
    if size < 2 or side < size:
        return []
    wide = functional.pad(images.float(), [_MARGIN] * 4, "replicate")
    reach = side + 2 * _MARGIN
    spots = torch.stack(
        [
            image[:, top : top + reach, left : left + reach]
            for image, top, left in zip(wide, tops, lefts, strict=True)
        ]
    )
    inner = spots[:, :, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    windows = inner.unfold(2, size, _STRIDE).unfold(3, size, _STRIDE)
    windows = windows.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)
    each = windows.shape[1]
    flat = windows.flatten(0, 1)
    flat = flat - flat.mean((2, 3), keepdim=True)
    textured = (flat.square().mean((1, 2, 3)).sqrt() > _TEXTURED) & (_turning(flat) > _TURNS)
    places = textured.nonzero()[:, 0]
    if not len(places):
        return []
    units = _unit(flat[places])
    met = _correlations(units, spots).flatten(2).amax(2)
    owners = places // each
    met[owners, torch.arange(len(owners))] = 0
    first = _most((met - least).clamp(min=0).sum(0), _FIRST)
    units, owners, met = units[first], owners[first], met[:, first]
    usual = torch.full((len(first),), least)
    for image in elsewhere.float() if len(first) else ():
        anywhere = _correlations(units, image[None]).flatten(2).amax(2)[0]
        usual = usual.maximum(anywhere)
    score = (met - usual).clamp(min=0).sum(0)
    order = torch.sort(score, descending=True, stable=True)
    return [
        Content(units[place], int(owners[place]))
        for place, value in zip(order.indices.tolist(), order.values.tolist(), strict=True)
        if value > 0
    ]


def _most(score: Tensor, number: int) -> Tensor:
    """Return the places of the greatest scores that are not 0."""
    order = torch.sort(score, descending=True, stable=True)
    return order.indices[:number][order.values[:number] > 0]


def apart(contents: Sequence[Content], most: int) -> list[Content]:
    """Return the first contents of different images, at most ``most``."""
    found: dict[int, Content] = {}
    for content in contents:
        if len(found) < most:
            found.setdefault(content.owner, content)
    return list(found.values())


def found_again(content: Content, images: Tensor) -> tuple[Float, NDArray[np.int64]]:
    """Return how much images (n, 3, h, w) uint8 have of a content where they have most, and where.

    The correlation (n,) in [-1, 1], and the top and left of the window (n, 2) in pixels.
    """
    values, places = [np.empty(0)], [np.empty((0, 2), np.int64)]
    for part in torch.split(images, _CHUNK):
        met = _everywhere(content.window, part.float())
        best = met.flatten(1).max(1)
        values.append(best.values.double().numpy())
        rows = best.indices.numpy()
        places.append(np.stack([rows // met.shape[2], rows % met.shape[2]], 1))
    return np.concatenate(values), np.concatenate(places)


def _turning(windows: Tensor) -> Tensor:
    """Return the smaller over the greater eigenvalue of the structure tensor: 0 of one edge."""
    down = windows[:, :, 1:, :-1] - windows[:, :, :-1, :-1]
    right = windows[:, :, :-1, 1:] - windows[:, :, :-1, :-1]
    yy, xx, xy = (
        (one * other).sum((1, 2, 3)) for one, other in ((down, down), (right, right), (down, right))
    )
    root = ((yy - xx).square() + 4 * xy.square()).sqrt()
    found: Tensor = (yy + xx - root) / (yy + xx + root).clamp(min=1e-6)
    return found


def _unit(windows: Tensor) -> Tensor:
    centred = windows - windows.mean((2, 3), keepdim=True)
    found: Tensor = centred / centred.flatten(1).norm(dim=1)[:, None, None, None]
    return found


def _correlations(units: Tensor, images: Tensor) -> Tensor:
    """Return the correlation of windows (k, 3, t, t) with all of images (n, 3, h, w), (n, k, ·)."""
    return functional.conv2d(images - 128, units) / _norms(images, units.shape[2])


def _everywhere(unit: Tensor, images: Tensor) -> Tensor:
    """Return the same of one window (3, t, t), (n, ·), by the theorem of convolution."""
    size, sides = unit.shape[1], (int(images.shape[2]), int(images.shape[3]))
    seen = torch.fft.rfft2(images - 128) * torch.fft.rfft2(unit, s=sides).conj()
    met = torch.fft.irfft2(seen.sum(1), s=sides)[:, : 1 - size, : 1 - size]
    found: Tensor = met / _norms(images, size)[:, 0]
    return found


def _norms(images: Tensor, size: int) -> Tensor:
    """Return the norms of all windows of a size of images, less their means, (n, 1, ·)."""
    levels = images - 128
    mean = _means(levels, size).square().sum(1, keepdim=True)
    square = _means(levels.square().sum(1, keepdim=True), size)
    energy = (square - mean).clamp(min=0) * size**2
    return (energy + 3 * size**2 * _FAINT**2).sqrt()


def _means(values: Tensor, size: int) -> Tensor:
    """Return the means of all windows, first down and then across."""
    found: Tensor = functional.avg_pool2d(functional.avg_pool2d(values, (size, 1), 1), (1, size), 1)
    return found
