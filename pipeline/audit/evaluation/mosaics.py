"""Two images in one: whether a map of one's class lies on that one.

A single object says little on whether a map explains the class: a map of whatever stands out lies
on it as well. Of two images of different classes side by side, the map for the class of each has to
lie on its own half. A map that does not depend on the class has one half each time: 0.5 of its
mass, whatever it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.flows.hiding import filling

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Mosaics:
    """M pairs of images: ``images`` (M, 3, H, W), and the classes of their halves (M, 2)."""

    images: Tensor
    targets: Tensor


def partners(targets: Sequence[int]) -> list[tuple[int, int]]:
    """Pair every image with the next one that has another class, the first following the last.

    So every image stands at the left once, and about once at the right.
    """
    count = len(targets)
    found = []
    for place in range(count):
        others = ((place + step) % count for step in range(1, count))
        other = next((one for one in others if targets[one] != targets[place]), None)
        if other is not None:
            found.append((place, other))
    return found


def side_by_side(images: Tensor, targets: Tensor, pairs: Sequence[tuple[int, int]]) -> Mosaics:
    """Return pairs of images (n, 3, H, W), each narrowed to half its width."""
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    height, width = images.shape[-2:]
    halves = [
        interpolate(
            images[side], (height, wide), mode="bilinear", align_corners=False, antialias=True
        )
        for side, wide in ((left, width // 2), (right, width - width // 2))
    ]
    return Mosaics(torch.cat(halves, dim=-1), torch.stack([targets[left], targets[right]], dim=1))


def with_halves_hidden(images: Tensor, grid: tuple[int, int], fill: str) -> tuple[Tensor, Tensor]:
    """Return mosaics (M, 3, H, W) without their left, and without their right halves."""
    filled, middle = filling(images, grid, fill), images.shape[-1] // 2
    left, right = images.clone(), images.clone()
    left[..., :middle] = filled[..., :middle]
    right[..., middle:] = filled[..., middle:]
    return left, right


def each_uses_its_own(whole: Tensor, without_left: Tensor, without_right: Tensor) -> Tensor:
    """Return of which mosaics the model uses each half for the class of that half, bool (M,).

    The arguments are the logits (M, 2) of the classes of both halves. Hiding a class's own half has
    to lower its logit, and by more than hiding the other half: then it is known where a map has to
    lie, whatever a method shows.
    """
    drops = torch.stack([whole - without_left, whole - without_right])  # (hidden half, M, class)
    own = torch.stack([drops[0, :, 0], drops[1, :, 1]], dim=1)
    other = torch.stack([drops[1, :, 0], drops[0, :, 1]], dim=1)
    return ((own > 0) & (own > other)).all(dim=1)


def left_share(maps: Float, grid: tuple[int, int], width: int) -> Float:
    """Return the share of maps (M, cells) in the left half of inputs so wide; NaN without mass."""
    edges = np.arange(grid[1] + 1) / grid[1]
    middle = (width // 2) / width
    part = ((middle - edges[:-1]) / np.diff(edges)).clip(0, 1)
    mass = maps.sum(1)
    inside = (maps.reshape(-1, *grid) * part).sum((1, 2))
    return np.where(mass > 0, inside / np.where(mass > 0, mass, 1), np.nan)


def share_and_win(of_left: Float, of_right: Float) -> tuple[Float, Float]:
    """Return the mean share on the explained half, and how often it has more, of pairs (M,).

    ``of_left`` and ``of_right`` are the shares in the left half of maps that explain the class of
    the left half, and of the right half. Half of the mass counts as half a win.
    """
    own = np.stack([of_left, 1 - of_right])
    wins = np.where(np.isnan(own), np.nan, (own > 0.5) + 0.5 * (own == 0.5))
    return own.mean(0), wins.mean(0)
