"""Hiding cells of an image: which pixels they are, and what replaces these."""

from typing import Literal, get_args

from torch import Tensor, zeros_like
from torch.nn.functional import adaptive_avg_pool2d, interpolate

Fill = Literal["mean", "blur"]
"""``mean``: 0 in the normalised image, the mean colour of the images that the model was trained on.
``blur``: the image averaged over cells and interpolated, which keeps the colours and leaves hardly
an edge."""

FILLS: tuple[str, ...] = get_args(Fill)


def filling(images: Tensor, grid: tuple[int, int], fill: str) -> Tensor:
    """Return what the cells of normalised images (B, 3, H, W) are replaced by, of their shape."""
    if fill == "mean":
        return zeros_like(images)
    coarse = adaptive_avg_pool2d(images, grid)
    return interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)


def blocks(cells: int, pixels: int) -> list[slice]:
    """Return the pixels of each of ``cells`` equal parts of a side.

    Each is the smallest range of whole pixels that contains its part, so neighbours share a pixel
    where the cells do not divide the side.
    """
    return [slice(i * pixels // cells, -(-(i + 1) * pixels // cells)) for i in range(cells)]
