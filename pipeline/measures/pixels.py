"""What the pixels alone say of an image: how bright, how sharp, and its perceptual hash.

Everything is summed in whole numbers (float64 holds them exactly), so an image has the same
values in any batch and on any device.
"""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_LUMA = (299, 587, 114)
_SIDE, _KEPT = 32, 8
_FLAT = 1 / 255
"""Contrast below which an image shows nothing that could be hashed or be sharp."""


@torch.no_grad()
def measure_pixels(pixels: Tensor) -> dict[str, Tensor]:
    """Return the pixel columns of a batch of model inputs.

    Parameters
    ----------
    pixels
        (B, 3, H, W) uint8, before normalisation.

    Returns
    -------
    dict
        Column → float32 (B,). ``brightness``: mean luma (BT.601) in [0, 1]. ``contrast``: twice
        the standard deviation of the luma, in [0, 1]. ``sharpness``: variance of the 4-neighbour
        Laplacian over the variance of the luma (20 for white noise, below 0.01 for a blurred
        photograph), NaN for an image of one colour.
    """
    luma = _luma(pixels)
    mean, variance = _moments(luma)
    edge = luma[:, 1:-1, 1:-1] * 4
    for part in (luma[:, :-2, 1:-1], luma[:, 2:, 1:-1], luma[:, 1:-1, :-2], luma[:, 1:-1, 2:]):
        edge = edge - part
    contrast = 2 * variance.sqrt() / 255_000
    sharpness = _moments(edge)[1] / variance
    return {
        "brightness": (mean / 255_000).float(),
        "contrast": contrast.float(),
        "sharpness": torch.where(contrast < _FLAT, torch.nan, sharpness).float(),
    }


@torch.no_grad()
def perceptual_hash(pixels: Tensor) -> Tensor:
    """Return the 63-bit perceptual hash of model inputs (B, 3, H, W) uint8, int64 (B,).

    Signs of the 8 × 8 lowest frequencies of the 32 × 32 luma, but the mean, around their median
    (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010): images
    that look alike differ in few bits, whatever their size, compression or brightness. 0 for an
    image of one colour.
    """
    small = functional.adaptive_avg_pool2d(_luma(pixels), _SIDE).round()
    waves = _cosines(pixels.device)
    frequencies = (waves @ small @ waves.T).flatten(1)[:, 1:]
    bits = frequencies > frequencies.median(1, keepdim=True).values
    powers = 2 ** torch.arange(bits.shape[1], device=pixels.device)
    hashes = (bits * powers).sum(1)
    flat = 2 * _moments(small)[1].sqrt() / 255_000 < _FLAT
    return torch.where(flat, 0, hashes)


def _luma(pixels: Tensor) -> Tensor:
    """Return 1000 × luma (B, H, W), whole numbers in float64."""
    return (pixels.to(torch.int32) * _weights(pixels.device)).sum(1).double()


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and population variance of every image (B, H, W) of whole numbers, (B,)."""
    flat = values.flatten(1)
    mean = flat.sum(1) / flat.shape[1]
    return mean, ((flat * flat).sum(1) / flat.shape[1] - mean * mean).clamp_min(0)


# Constants are made once for a device: a GPU would wait for every copy of them.


@cache
def _weights(device: torch.device) -> Tensor:
    """Return the weights of the channels, (3, 1, 1)."""
    with torch.inference_mode(False):
        return torch.tensor(_LUMA, dtype=torch.int32, device=device)[:, None, None]


@cache
def _cosines(device: torch.device) -> Tensor:
    """Return the lowest frequencies of the cosine transform, (8, 32), as whole numbers."""
    place = torch.arange(_SIDE, dtype=torch.float64) + 0.5
    number = torch.arange(_KEPT, dtype=torch.float64)
    waves = (4096 * torch.cos(math.pi / _SIDE * number[:, None] * place)).round()
    with torch.inference_mode(False):
        return waves.to(device)
