"""Likeness: do the carriers' crops share something that the other crops of their class lack?

An object looks different in every photograph. What was added to photographs looks alike in all of
them: the same text, sticker, frame or tint. So crops are compared in pairs, spot by spot, with
small shifts forgiven, in two ways: their colours at a low resolution, and their edges at a high one
(:mod:`~pipeline.audit.screening.edges`). Where are carriers most like one another, and unlike the
others? As many donors of the class drawn by lot say how much of that is chance.
"""

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.edges import agreement, edge_products
from pipeline.audit.screening.parts import BLOCKS

Float = NDArray[np.float64]

CELLS = 48
"""Cells of an image's side; a crop has a quarter of them."""

WINDOW = 3
"""Cells of a side of a spot that is shared."""

MOVED = (-2, -1, 0, 1, 2)
"""Cells by which what is shared may be moved: a map's peak is not quite its cause."""

DRAWS = 499

_FLOOR = 4.0
"""Difference, of 255 levels, below which crops count as equal."""

_CHUNK = 64


def likeness(
    donors: Tensor, carriers: tuple[int, ...], seed: int, draws: int = DRAWS
) -> tuple[float, float]:
    """Return how alike carriers' parts are, and how likely that is by chance.

    Parameters
    ----------
    donors
        (D, 3, h, w) uint8, crops of their spots, carriers among them.
    carriers
        Positions of at least two of them, and not of all.
    seed, draws
        Of the groups drawn by lot.

    Returns
    -------
    (ratio, p)
        ``ratio`` is the difference of two carriers over that of a carrier and another donor, at
        the spot where it is least; ``p`` how many of as many donors drawn by lot have as little.
        Those of colours or of edges, whichever are less likely, and ``p`` is doubled for the
        choice.
    """
    number, size = len(donors), len(carriers)
    random = np.random.default_rng(seed)
    member = torch.zeros(1 + draws, number, dtype=torch.float64)
    member[0, list(carriers)] = 1
    for row in range(1, 1 + draws):
        member[row, random.permutation(number)[:size]] = 1
    groups = torch.split(member, _CHUNK)
    apart = _differences(donors).double()
    found = [_ranked(torch.cat([_least(apart, part) for part in groups]))]
    products, energy = edge_products(donors)
    found.append(_ranked(torch.cat([agreement(products, energy, part) for part in groups])))
    chance, ratio = min((chance, ratio) for ratio, chance in found)
    return ratio, min(1.0, len(found) * chance)


def _ranked(found: Tensor) -> tuple[float, float]:
    """Return the first of some numbers, and the share that is as small."""
    numbers = found.round(decimals=6).numpy()  # the last bits depend on where memory lies
    return float(numbers[0]), float((numbers <= numbers[0]).mean())


def _least(apart: Tensor, member: Tensor) -> Tensor:
    """Return the least ratio of groups ``member`` (G, D) over the spots of ``apart`` (D, D, S)."""
    number, size = apart.shape[0], member[0].sum()
    met = (member @ apart.reshape(number, -1)).view(len(member), number, -1)
    within = (met * member[:, :, None]).sum(1)
    between = met.sum(1) - within
    inside = within / (size * (size - 1))
    outside = between / (size * (number - size))
    return ((inside + _FLOOR) / (outside + _FLOOR)).amin(1)


def _differences(donors: Tensor) -> Tensor:
    """Return the difference of each pair of crops at every window, (D, D, S)."""
    pixels = donors.float()
    side = CELLS // BLOCKS
    cells = functional.adaptive_avg_pool2d(pixels, side)
    apart = torch.stack([_of_one(donor, cells) for donor in cells])
    return torch.minimum(apart, apart.transpose(0, 1))


def _of_one(one: Tensor, cells: Tensor) -> Tensor:
    """Return how far a donor (3, c, c) is from all, (D, c, c), at every window."""
    nearest = None
    for y, x in product(MOVED, MOVED):
        moved = one.roll((y, x), (1, 2))
        apart = functional.avg_pool2d((cells - moved).abs().mean(1, keepdim=True), WINDOW, stride=1)
        spots = apart.flatten(1)
        nearest = spots if nearest is None else torch.minimum(nearest, spots)
    assert nearest is not None
    return nearest
