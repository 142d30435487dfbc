"""The corner test: whether what changes in a corner of the image changes in that corner of a layer.

It knows nothing of how a layout is proven. The four corners of random images are changed, one at a
time. For every cell of a layer the logarithm of its change says how much more it depends on one
corner than on another; what is due to the corner (its contrast) or the cell (its sensitivity)
alone, and so what mixes all cells alike, is taken out. Cells lie on the image if this fits them
where they are better than in any other arrangement: mirrored, transposed, rolled by half, or
shuffled at random, by cells or by whole rows or columns. They fail if another arrangement fits
better, whatever the images; where none does, or all cells are alike, nothing can be said.
"""

from collections.abc import Callable
from itertools import permutations, product

import torch
from torch import Tensor, nn

UNIFORM = 1e-3
"""Below this relative difference in change, which is that of a cell to the mean, all are alike."""

GAIN = 0.02
"""An arrangement that fits better by less than this share of its fit proves nothing: cells that
some corners do not reach at all differ by chance, and so does the best arrangement of them."""

SHUFFLES = 500
DRAWS = 4


def calibrated(model: nn.Module, side: int) -> nn.Module:
    """Return a model in float64 whose batch norms have the statistics of images.

    Otherwise the activations of random weights vanish, die or saturate from layer to layer.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    model.double()
    for norm in norms:
        norm.momentum, _ = 1.0, norm.train()
    if norms:
        with torch.no_grad():
            model(noise(side, 4, seed=7))
    for norm in norms:
        norm.eval()
    return model


def noise(side: int, count: int, seed: int) -> Tensor:
    """Return images (count, 3, side, side) of noise over waves, float64."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.randn(count, 3, side, side, generator=generator, dtype=torch.float64)
    coarse = torch.randn(count, 3, 5, 5, generator=generator, dtype=torch.float64)
    return fine / 2 + nn.functional.interpolate(coarse, (side, side), mode="bilinear")


@torch.no_grad()
def corners(read: Callable[[Tensor], list[Tensor]], side: int) -> list[str]:
    """Return for every layer ``passed``, ``failed``, or ``unclear`` if it cannot be tested.

    ``read`` gives the layers (B, C, h, w) of images (B, 3, side, side).
    """
    images = noise(side, DRAWS, seed=1)
    plain, block = read(images), max(1, side // 4)
    other, halves = noise(side, DRAWS, seed=2), (slice(0, block), slice(-block, None))
    moved: list[list[Tensor]] = [[] for _ in plain]
    for rows, columns in product(halves, halves):
        changed = images.clone()
        changed[..., rows, columns] = other[..., rows, columns]
        for layer, (before, after) in enumerate(zip(plain, read(changed), strict=True)):
            moved[layer].append((after - before).double().square().sum(dim=1))
    return [verdict(torch.stack(layer, dim=1)) for layer in moved]


def verdict(moved: Tensor) -> str:
    """Return what squared changes (draws, 4 corners, h, w) say of a layer's cells.

    The corners are the upper left and right, and the lower left and right.
    """
    height, width = moved.shape[2:]
    if height < 2 or width < 2:
        return "unclear"
    floor = moved.amax(dim=(1, 2, 3), keepdim=True) * 1e-24
    logs = (moved + floor.clamp(min=1e-300)).log() / 2
    upper, left = (
        logs[:, :2].sum(1) - logs[:, 2:].sum(1),
        logs[:, ::2].sum(1) - logs[:, 1::2].sum(1),
    )
    sides = torch.stack([upper, left], dim=1).clamp(-60, 60)
    sides = sides - sides.mean(dim=(2, 3), keepdim=True)
    here = torch.stack(
        torch.meshgrid(torch.linspace(1, -1, height), torch.linspace(1, -1, width), indexing="ij")
    ).double()
    if sides.mean(dim=0).square().mean().sqrt() < UNIFORM:
        return "unclear"
    fits = torch.stack([(sides * other).mean(dim=(1, 2, 3)) for other in _arrangements(here)])
    if fits.mean(dim=1).argmax() == 0:
        return "passed"
    gains = (fits - fits[0]) / fits.mean(dim=1).amax()
    halves = gains[:, ::2].mean(dim=1), gains[:, 1::2].mean(dim=1)
    return "failed" if _better(*halves) and _better(*reversed(halves)) else "unclear"


def _better(chosen_by: Tensor, elsewhere: Tensor) -> bool:
    """Return whether the arrangement that gains most in some images gains half of it in others."""
    best = chosen_by.argmax()
    return bool(elsewhere[best] > chosen_by[best] / 2 > GAIN / 2)


def _arrangements(here: Tensor) -> list[Tensor]:
    """Return places (2, h, w) of the cells: their own, then those of other arrangements."""
    height, width = here.shape[1:]
    found = [here]
    for turn, mirror in product(range(4), (False, True)):
        other = here.flip(2) if mirror else here
        if (turned := other.rot90(turn, (1, 2))).shape == here.shape:
            found.append(turned)
    found += [here.roll(by, (1, 2)) for by in ((height // 2, 0), (0, width // 2))]
    cells, generator = height * width, torch.Generator().manual_seed(3)
    if cells <= 4:
        orders = [torch.tensor(order) for order in permutations(range(cells))]
    else:
        orders = [torch.randperm(cells, generator=generator) for _ in range(SHUFFLES)]
    # Channels taken for places, or rows for columns: cells in another order of reading.
    orders.append(torch.arange(cells).view(height, width).T.flatten())
    # Only one of the two axes is of places.
    for axis, size in enumerate((height, width)):
        shuffles = [torch.randperm(size, generator=generator) for _ in range(SHUFFLES // 4)]
        found += [here.index_select(axis + 1, shuffle) for shuffle in shuffles]
    found += [here.flatten(1)[:, order].view_as(here) for order in orders]
    return [found[0], *(other for other in found[1:] if not torch.equal(other, here))]
