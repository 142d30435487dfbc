"""Overlays: what lies over some images of a class at the same pixels, estimated from all of them.

Over a photograph x an artefact C of opacity a gives (1 - a) x + a C. Photographs of a group differ
from each other in x alone, so where the group's edges agree they are the artefact's (Dekel et al.,
"On the effectiveness of visible watermarks", CVPR 2017), and where its spread is smaller than that
of the rest of the class, something covers it: a = 1 - spread / usual spread. Nothing is assumed of
its place, its shape or its size.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.estimates.transfers import as_image

_CLEAR = 3.0
"""Standard errors by which a mean must differ from none to be of the overlay."""

FAINT = 2.0
"""Least deviation of pixels and edges, in levels: flat ground is not free of noise."""

_LEAST_SPREAD = 5.0
"""Least deviation of pixels, in levels, against which an opacity is seen."""

_SMOOTH = 4.0
"""Waves longer than the side over this are the mean's, shorter ones are put together of edges."""


@dataclass(frozen=True)
class Overlay:
    """An estimate: ``shift`` (3, H, W) is added to an image, of which ``opacity`` (H, W) is lost.

    ``usual`` (3, H, W) is the mean image of the rest.
    """

    shift: Tensor
    opacity: Tensor
    usual: Tensor

    def onto(self, images: Tensor) -> Tensor:
        """Lay it over images (n, 3, H, W) uint8."""
        pixels = images.float()
        return as_image(pixels + self.shift - self.opacity * (pixels - self.usual))


def estimate_overlay(group: Tensor, rest: Tensor) -> Overlay:
    """Estimate what lies over a group (g, 3, H, W) uint8 and not over the rest (r, 3, H, W)."""
    own, other = group.float(), rest.float()
    usual = other.mean(0)
    here, there = edges(own), edges(other)
    # The mean is moved by strong edges of one photograph; of two or three there is no better one.
    middle = here.median(0).values if len(own) > 3 else here.mean(0)
    shared = middle - there.mean(0)
    lighter = own.mean(0) - usual
    shift = put_together(
        torch.where(clear(shared, there.std(0, correction=0), len(own)), shared, 0),
        torch.where(clear(lighter, other.std(0, correction=0), len(own)), lighter, 0),
    )
    return Overlay(shift, _opacity(own, other), usual)


def edges(pixels: Tensor) -> Tensor:
    """Return the differences to the next pixel below and to the right, (n, 6, H, W)."""
    down = functional.pad(pixels[:, :, 1:] - pixels[:, :, :-1], (0, 0, 0, 1))
    right = functional.pad(pixels[:, :, :, 1:] - pixels[:, :, :, :-1], (0, 1))
    return torch.cat([down, right], 1)


def clear(shared: Tensor, spread: Tensor, number: int) -> Tensor:
    """Return where means (3 n, H, W) of ``number`` images are no chance, channels taken together.

    ``spread`` is the deviation of one image.
    """
    error = spread.clamp(min=FAINT) / number**0.5
    strength = (shared / error).square().view(-1, 3, *shared.shape[1:]).mean(1)
    there: Tensor = strength > _CLEAR**2
    return there.repeat_interleave(3, 0)


def _opacity(own: Tensor, other: Tensor) -> Tensor:
    """Return how much of the images is covered, (H, W) in [0, 1], less what chance makes of it."""
    if len(own) < 2 or len(other) < 2:
        return torch.zeros(own.shape[2:])
    spread, usual = (_smoothed(part.var(0).mean(0)) for part in (own, other))
    ratio = (spread / usual.clamp(min=_LEAST_SPREAD**2)).sqrt()
    covered: Tensor = 1 - ratio * (1 + 1 / (len(own) - 1) ** 0.5)
    return covered.clamp(0, 1)


def _smoothed(values: Tensor) -> Tensor:
    padded = functional.pad(values[None, None], [1] * 4, "replicate")
    return functional.avg_pool2d(padded, 3, 1)[0, 0]


def put_together(shared: Tensor, mean: Tensor) -> Tensor:
    """Return the picture (3, H, W) with edges nearest to ``shared`` (6, H, W), and near ``mean``.

    The screened Poisson equation with free borders (Bhat et al., "Fourier analysis of the 2D
    screened Poisson equation for gradient domain problems", 2008).
    """
    height, width = mean.shape[1:]
    down, right = shared[:3], shared[3:]
    sources = functional.pad(down, (0, 0, 1, 0))[:, :-1] - down
    sources = sources + functional.pad(right, (1, 0))[:, :, :-1] - right
    near = (_SMOOTH / max(height, width)) ** 2
    known = sources + near * mean
    known = torch.cat([known, known.flip(1)], 1)
    known = torch.cat([known, known.flip(2)], 2)
    y = 2 - 2 * torch.cos(math.tau * torch.fft.fftfreq(2 * height))[:, None]
    x = 2 - 2 * torch.cos(math.tau * torch.fft.rfftfreq(2 * width))
    found: Tensor = torch.fft.irfft2(
        torch.fft.rfft2(known) / (y + x + near), s=(2 * height, 2 * width)
    )
    return found[:, :height, :width]
