"""Surgery on pixels: paste a place of one image onto another, or erase it."""

import torch
from torch import Tensor


def place_mask(place: str, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Return where a place lies in a model input, bool (H, W).

    A corner is a quarter of each side, as :mod:`pipeline.measures.regions` has it, in whole
    pixels; the border one cell of the map's grid.
    """
    height, width = size
    mask = torch.zeros(size, dtype=torch.bool)
    if place == "border":
        mask[:] = True
        y, x = -(-height // grid[0]), -(-width // grid[1])
        mask[y : height - y, x : width - x] = False
        return mask
    y, x = -(-height // 4), -(-width // 4)
    rows = slice(0, y) if place[0] == "t" else slice(height - y, height)
    columns = slice(0, x) if place[1] == "l" else slice(width - x, width)
    mask[rows, columns] = True
    return mask


def cell_numbers(size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Return the number y · w + x of the map's cell that every pixel lies in, int64 (H, W)."""
    y, x = (torch.arange(side) * cells // side for side, cells in zip(size, grid, strict=True))
    return y[:, None] * grid[1] + x


def paste(onto: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """Return images (B, 3, H, W) with the masked pixels of others, taken in turns."""
    turns = torch.arange(len(onto), device=onto.device) % len(source)
    return torch.where(mask, source[turns], onto)


def erase_mean(images: Tensor, mask: Tensor) -> Tensor:
    """Return images (B, 3, H, W) uint8 whose masked pixels have the mean colour of the others."""
    kept = images.float()[:, :, ~mask].mean(2)
    return torch.where(mask, kept.round().to(images.dtype)[:, :, None, None], images)


def erase_blur(images: Tensor, mask: Tensor) -> Tensor:
    """Return images (B, 3, H, W) uint8 whose masked pixels are blurred beyond recognition."""
    from torchvision.transforms.functional import gaussian_blur  # imports torch's compiler

    side = max(3, min(images.shape[2:]) // 4) | 1
    blurred = gaussian_blur(images.float(), [side, side], [side / 3, side / 3])
    return torch.where(mask, blurred.round().to(images.dtype), images)
