"""Transfers: a property of a whole image that is given to another, which keeps its content.

One image shows enough of these: an image without the property changes nothing, one whose edges do
not stand out every eight pixels, that has no even margin.

Every function maps recipients and donors, (n, 3, H, W) uint8 each, to recipients changed.
"""

import io
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

_FINE = 0.008
"""Deviation of the blur that takes fine detail away, as a share of the shorter side."""
_BANDS = 2
_QUALITIES = (5, 7, 9, 12, 16, 24)
_BLOCK = 8
_BLOCKY = 1.25
"""Ratio of differences across the blocks of JPEG to those within, above which one sees blocks."""

_LINE = 12.0
"""Amplitude of a frequency over the median of its neighbours, above which it is a line."""
_NEIGHBOURS = 7
_SLOWEST = 1 / 12
"""Periods of a pixel below which what is periodic may be the picture itself."""
_LEAST_WAVE = 2.0
"""Amplitude of a line, in levels, from which it is seen."""

_NOISY = 6.0
"""Deviation of neighbours, in levels, above which an image is noisy."""

_EVEN = 6.0
"""Levels within which a margin is of one colour."""
_LEAST_MARGIN = 0.06
"""Least width of a margin on every side, as a share of the side."""


def with_compression(recipients: Tensor, donors: Tensor) -> Tensor:
    """Compress as JPEG, of the quality that changes a visibly compressed donor least."""
    found = recipients.clone()
    for number, donor in enumerate(donors):
        if blockiness(donor) > _BLOCKY:
            left = [(donor.float() - as_jpeg(donor, q).float()).abs().mean() for q in _QUALITIES]
            # The better the quality, the less is changed: what counts is less than expected.
            steps = [float(one / other) for one, other in pairwise(left)]
            found[number] = as_jpeg(recipients[number], _QUALITIES[int(np.argmin(steps))])
    return found


def with_lines(recipients: Tensor, donors: Tensor) -> Tensor:
    """Add what of the donor is of single frequencies: stripes, a grid, a screen."""
    pixels = donors.float()
    spectrum = torch.fft.rfft2(pixels - pixels.mean((2, 3), keepdim=True))
    amplitude = spectrum.abs().mean(1, keepdim=True)
    size = (int(pixels.shape[2]), int(pixels.shape[3]))
    y, x = torch.fft.fftfreq(size[0])[:, None].abs(), torch.fft.rfftfreq(size[1])
    # The edges of an image are no period: they fill the axes.
    fast = (torch.hypot(y, x) > _SLOWEST) & (y > 1.5 / size[0]) & (x > 1.5 / size[1])
    wave = 2 * amplitude / (size[0] * size[1])
    seen = fast & (wave > _LEAST_WAVE)
    lines = torch.where(seen & (amplitude > _LINE * _usual(amplitude, seen)), spectrum, 0)
    return as_image(recipients.float() + torch.fft.irfft2(lines, s=size))


def _usual(amplitude: Tensor, asked: Tensor) -> Tensor:
    """Return the median of the neighbours of amplitudes (n, 1, h, w), at least 1, where asked."""
    reach = _NEIGHBOURS // 2
    wide = functional.pad(amplitude, [reach] * 4, "replicate")[:, 0]
    image, _, row, column = asked.nonzero(as_tuple=True)
    steps = torch.arange(_NEIGHBOURS)
    rows, columns = row[:, None, None] + steps[:, None], column[:, None, None] + steps
    found = torch.ones_like(amplitude)
    around = wide[image[:, None, None], rows, columns].flatten(1)
    if len(image):
        found[:, 0][image, row, column] = around.median(1).values.clamp(min=1)
    return found


def with_noise(recipients: Tensor, donors: Tensor) -> Tensor:
    """Add noise as strong as the donor's, and as coloured, if it has more than the recipient."""
    found = recipients.float()
    random = torch.Generator().manual_seed(0)
    for number, (donor, own) in enumerate(zip(donors.float(), recipients.float(), strict=True)):
        noise = noise_of(donor)
        more = noise - noise_of(own)
        if float(noise.diagonal().amax()) > _NOISY**2 and float(more.diagonal().amin()) > 0:
            values, vectors = torch.linalg.eigh(more)
            mixed = vectors * values.clamp(min=0).sqrt()
            drawn = torch.randn(3, donor[0].numel(), generator=random)
            found[number] += (mixed @ drawn).view_as(donor)
    return as_image(found)


def with_margin(recipients: Tensor, donors: Tensor) -> Tensor:
    """Show the whole recipient inside the even margin of the donor, if it has one all around."""
    found = recipients.clone()
    height, width = recipients.shape[2:]
    for number, donor in enumerate(donors):
        top, bottom, left, right = margins_of(donor.float())
        if min(top, bottom) >= _LEAST_MARGIN * height and min(left, right) >= _LEAST_MARGIN * width:
            size = (height - top - bottom, width - left - right)
            if min(size) > 0:
                small = functional.interpolate(
                    recipients[number : number + 1].float(), size, mode="bicubic", antialias=True
                )
                found[number] = donor[:, :1, :1]
                found[number, :, top : top + size[0], left : left + size[1]] = as_image(small)[0]
    return found


def strongest(images: Tensor) -> Tensor:
    """Return how far the channels of the most coloured pixels lie from grey, in levels, (n,)."""
    pixels = images.float()
    return (pixels - pixels.mean(1, keepdim=True)).abs().amax(1).flatten(1).quantile(0.98, 1)


def as_image(values: Tensor) -> Tensor:
    """Return values as levels, uint8."""
    return values.clamp(0, 255).round().to(torch.uint8)


def as_jpeg(image: Tensor, quality: int) -> Tensor:
    """Return an image (3, H, W) uint8 as JPEG shows it."""
    stream = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=quality)
    pixels = np.array(Image.open(stream).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _bands(images: Tensor) -> list[Tensor]:
    """Return what a small blur takes from images, what twice as much takes more, and the rest."""
    left, bands = images, []
    for octave in range(_BANDS):
        sigma = max(0.6, _FINE * min(images.shape[2:])) * 2**octave
        side = min(2 * int(np.ceil(3 * sigma)) + 1, min(images.shape[2:]) // 2 * 2 - 1)
        smooth = _blurred(images, side, sigma)
        bands.append(left - smooth)
        left = smooth
    return [*bands, left]


def _blurred(images: Tensor, side: int, sigma: float) -> Tensor:
    """Return images (n, 3, H, W) under a Gaussian of ``side`` pixels, mirrored at their edges."""
    steps = torch.arange(side) - side // 2
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, side)
    wide = functional.pad(images, [side // 2] * 4, "reflect")
    across = functional.conv2d(wide, kernel[:, :, None], groups=3)
    found: Tensor = functional.conv2d(across, kernel[:, :, :, None], groups=3)
    return found


def fineness(images: Tensor) -> Tensor:
    """Return the strengths of the bands of detail over that of the next coarser, (bands, n)."""
    *bands, left = _bands(images)
    sigma = max(0.6, _FINE * min(images.shape[2:])) * 2**_BANDS
    side = min(2 * int(np.ceil(3 * sigma)) + 1, min(images.shape[2:]) // 2 * 2 - 1)
    coarse = left - _blurred(left, side, sigma)
    whole = coarse.abs().mean((1, 2, 3)).clamp(min=1e-3)
    return torch.stack([band.abs().mean((1, 2, 3)) / whole for band in bands])


def blockiness(image: Tensor) -> float:
    """Return the steps across the blocks of JPEG over those within them, of (3, H, W)."""
    levels = image.float().mean(0)
    ratios = []
    for side in (levels, levels.T):
        steps = (side[1:] - side[:-1]).abs().mean(1)
        across = (torch.arange(len(steps)) + 1) % _BLOCK == 0
        if across.any() and not across.all():
            ratios.append(float(steps[across].mean() / steps[~across].mean().clamp(min=1e-3)))
    return min(ratios, default=1.0)


def noise_of(image: Tensor) -> Tensor:
    """Return the covariance (3, 3) of the noise of an image (3, H, W), from diagonal differences.

    Most of these lie where there is no edge, so medians tell noise from edges (Donoho & Johnstone,
    1994).
    """
    diagonal = image[:, 1:, 1:] - image[:, 1:, :-1] - image[:, :-1, 1:] + image[:, :-1, :-1]
    flat = diagonal.flatten(1) / 2
    spread = flat.abs().median(1).values / _NORMAL_MEDIAN
    quiet = flat.maximum(-2 * spread[:, None]).minimum(2 * spread[:, None])
    alike = quiet @ quiet.T
    size = alike.diagonal().clamp(min=1e-6).sqrt()
    return spread[:, None] * spread * alike / (size[:, None] * size)


_NORMAL_MEDIAN = 0.6745
"""Median of the absolute value of a standard normal number."""


def margins_of(image: Tensor) -> tuple[int, int, int, int]:
    """Return the widths of the margins of an image (3, H, W) that have the colour of its corner."""
    other = (image - image[:, :1, :1]).abs().amax(0) > _EVEN
    rows, columns = other.float().mean(1) > 0.02, other.float().mean(0) > 0.02
    found = []
    for busy in (rows, rows.flip(0), columns, columns.flip(0)):
        places = busy.nonzero()
        found.append(int(places[0]) if len(places) else len(busy))
    return found[0], found[1], found[2], found[3]
