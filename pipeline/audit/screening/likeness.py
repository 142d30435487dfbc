"""Likeness: do the carriers' crops share something that the other crops of their class lack?

An object looks different in every photograph. What was added to photographs looks alike in all of
them: the same text, sticker, frame or tint. So crops are compared in pairs, spot by spot, with
small shifts forgiven, in two ways: their colours at a low resolution, and their edges at a high one
(:mod:`~pipeline.audit.screening.edges`). Where are carriers most like one another, and unlike the
others? As many donors of the class drawn by lot say how much of that is chance.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.edges import agreement, edge_products
from pipeline.audit.screening.parts import BLOCKS, PARTS

Float = NDArray[np.float64]

CELLS = 48
"""Cells of an image's side; a crop has those of them that its part covers."""

WINDOW = 3
"""Cells of a side of a spot that is shared."""

SHIFTS = (-1, 0, 1)
"""Cells by which what is shared may be moved."""

MOVED = (-2, -1, 0, 1, 2)
"""The same of crops of spots, which are those of a map's peaks."""

DRAWS = 499

_FLOOR = 4.0
"""Difference, of 255 levels, below which crops count as equal."""

_LEVELS = 32.0
"""Levels for a factor of e between amplitudes, so that one floor fits all."""

_CHUNK = 64


def likeness(
    donors: Tensor, carriers: tuple[int, ...], key: str, seed: int, draws: int = DRAWS
) -> tuple[float, float]:
    """Return how alike carriers' parts are, and how likely that is by chance.

    Parameters
    ----------
    donors
        (D, 3, H, W) uint8, carriers among them; of a part that moves, crops of its spots.
    carriers
        Positions of at least two of them, and not of all.
    key
        Of the part.
    seed, draws
        Of the groups drawn by lot.

    Returns
    -------
    (ratio, p)
        ``ratio`` is the difference of two carriers over that of a carrier and another donor, at
        the spot where it is least; ``p`` how many of as many donors drawn by lot have as little.
        Of a region, those of colours or of edges, whichever are less likely, and ``p`` is doubled
        for the choice.
    """
    number, size = len(donors), len(carriers)
    random = np.random.default_rng(seed)
    member = torch.zeros(1 + draws, number, dtype=torch.float64)
    member[0, list(carriers)] = 1
    for row in range(1, 1 + draws):
        member[row, random.permutation(number)[:size]] = 1
    groups = torch.split(member, _CHUNK)
    apart = _differences(donors, key).double()
    found = [_ranked(torch.cat([_least(apart, part) for part in groups]))]
    if PARTS[key].is_region:
        products, energy = edge_products(donors, key)
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


def _differences(donors: Tensor, key: str) -> Tensor:
    """Return the difference of each pair of donors at every spot of a part, (D, D, S)."""
    pixels = donors.float()
    if key == "colours":
        numbers = torch.cat([pixels.mean((2, 3)), pixels.std((2, 3))], 1)
        return (numbers[:, None] - numbers[None]).abs()
    if key == "spectrum":
        amplitudes = torch.fft.rfft2(pixels.mean(1)).abs()[:, None]
        # A stripe is one frequency: the largest amplitude of a cell, and each cell for itself.
        cells = functional.adaptive_max_pool2d(amplitudes, CELLS).clamp(min=1).log().flatten(1)
        return _LEVELS * (cells[:, None] - cells[None]).abs()
    moves = PARTS[key].moves
    side = CELLS // BLOCKS if moves else CELLS
    where = PARTS[key].compared((side, side))
    cells = functional.adaptive_avg_pool2d(pixels, side)
    found = [_of_one(donor, cells, where, MOVED if moves else SHIFTS) for donor in cells]
    apart = torch.stack(found)
    return torch.minimum(apart, apart.transpose(0, 1))


def _of_one(one: Tensor, cells: Tensor, where: Tensor, shifts: Sequence[int]) -> Tensor:
    """Return how far a donor (3, c, c) is from all, (D, 3, c, c), at the spots inside ``where``."""
    window = min(WINDOW, int(where.any(1).sum()), int(where.any(0).sum()))
    inside = functional.avg_pool2d(where.float()[None, None], window, stride=1)[0, 0] == 1
    nearest = None
    for y, x in product(shifts, shifts):
        moved = one.roll((y, x), (1, 2))
        apart = functional.avg_pool2d((cells - moved).abs().mean(1, keepdim=True), window, stride=1)
        spots = apart[:, 0, inside]
        nearest = spots if nearest is None else torch.minimum(nearest, spots)
    assert nearest is not None
    return nearest
