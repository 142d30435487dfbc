"""Pictures that are as little alike as photographs, and things that are laid over them."""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.estimates.transfers import as_image


def pictures(count: int, side: int = 96, seed: int = 0) -> Tensor:
    """Return smooth shapes with fine detail, (count, 3, side, side) uint8."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.zeros(count, 3, side, side)
    for cells, share in ((3, 1.0), (9, 0.5), (41, 0.25)):
        grid = torch.rand(count, 3, cells, cells, generator=generator)
        mixed += share * functional.interpolate(grid, (side, side), mode="bicubic")
    return as_image(260 * mixed / 1.75)


def glyph(side: int = 96, top: int = 30, left: int = 24) -> tuple[Tensor, Tensor]:
    """Return the colours (3, side, side) and the mask (side, side) of thin letters."""
    mask = torch.zeros(side, side)
    for turn in range(6):
        x = left + 8 * turn
        mask[top : top + 14, x : x + 2] = 1
        mask[top + 3 * (turn % 3) : top + 3 * (turn % 3) + 2, x : x + 6] = 1
    return torch.tensor([250.0, 240.0, 120.0])[:, None, None].expand(3, side, side), mask


def laid(images: Tensor, colours: Tensor, mask: Tensor, opacity: float) -> Tensor:
    """Lay colours over images where a mask is, with an opacity."""
    pixels = images.float()
    return as_image(pixels + opacity * mask * (colours - pixels))
