"""Sharpness: how much fine detail some images have against the rest, frequency by frequency."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.estimates.transfers import as_image

_BINS = 48
"""Bins of frequencies up to that of a diagonal of pixels."""

_COARSE = slice(1, 4)
"""Bins that detail is relative to: what an image shows, not how sharp it is."""

_MOST = 5.0
"""Factor up to which detail is raised."""

_EDGE = 8
"""Part of a side by which images are mirrored at their edges."""


@dataclass(frozen=True)
class Sharpness:
    """``gains`` (bins,): factors of amplitude, from low to high frequencies."""

    gains: Tensor

    def onto(self, images: Tensor) -> Tensor:
        """Filter images (n, 3, H, W) uint8."""
        height, width = images.shape[2:]
        y, x = height // _EDGE, width // _EDGE
        wide = functional.pad(images.float(), (x, x, y, y), "reflect")
        size = (int(wide.shape[2]), int(wide.shape[3]))
        factors = self.gains[_bins(size)]
        found = torch.fft.irfft2(torch.fft.rfft2(wide) * factors, s=size)
        return as_image(found[:, :, y : y + height, x : x + width])


def estimate_sharpness(group: Tensor, rest: Tensor) -> Sharpness:
    """Estimate what makes images as sharp as a group (g, 3, H, W) uint8 instead of as the rest."""
    apart = _profile(group) - _profile(rest)
    apart = apart - apart[_COARSE].mean()
    apart[0] = 0
    return Sharpness(apart.exp().clamp(max=_MOST))


def bands(images: Tensor, number: int) -> Tensor:
    """Return the log amplitude of images (n, 3, H, W) by bands of frequencies, (n, number).

    Of detail, relative to what is coarse.
    """
    found = _profiles(images)
    fine = found[:, _COARSE.stop :] - found[:, _COARSE].mean(1, keepdim=True)
    return functional.adaptive_avg_pool1d(fine[:, None], number)[:, 0]


def _profile(images: Tensor) -> Tensor:
    """Return the mean log amplitude (bins,) of images (n, 3, H, W) by frequency."""
    return _profiles(images).mean(0)


def _profiles(images: Tensor) -> Tensor:
    """Return the log amplitude (n, bins) of images (n, 3, H, W) by frequency."""
    size = (int(images.shape[2]), int(images.shape[3]))
    window = torch.hann_window(size[0])[:, None] * torch.hann_window(size[1])
    pixels = images.float()
    seen = (pixels - pixels.mean((2, 3), keepdim=True)) * window
    power = torch.fft.rfft2(seen).abs().square().mean(1).flatten(1)
    bins = _bins(size).flatten()
    count = torch.bincount(bins, minlength=_BINS).clamp(min=1)
    sums = torch.zeros(len(images), _BINS).index_add(1, bins, power)
    return (sums / count).clamp(min=1e-3).log() / 2


def _bins(size: tuple[int, int]) -> Tensor:
    """Return the bin of every frequency of a real transform of ``size``."""
    y, x = torch.fft.fftfreq(size[0])[:, None], torch.fft.rfftfreq(size[1])
    bins: Tensor = (torch.hypot(y, x) * _BINS / 0.5**0.5).long().clamp(max=_BINS - 1)
    return bins
