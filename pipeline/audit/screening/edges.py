"""Edges: the strokes and outlines that some crops share, however little of a crop they fill.

A line of small text covers little of a block, and the photograph shows between its letters. Its
strokes are the same in every image all the same: the differences of neighbouring pixels have the
same sign at the same pixels. In photographs of different things they have not.
"""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.estimates.overlay import edges as edges_of

_MOVED = 5
"""Part of the side by which crops are moved: a map's peak is not quite its cause."""

_STRONGEST = 64.0
"""Difference of neighbouring pixels, of 255 levels, above which edges count as equally strong."""

_FINEST = 160
"""Pixels of a side at which edges are compared, up to twice as many."""

_SPOTS = 5
"""Windows along a side of a crop; each overlaps the next by half."""

_FAINT = 100.0
"""Mean square of differences below which a spot has hardly any edge."""


def edge_products(donors: Tensor) -> tuple[Tensor, Tensor]:
    """Return how donors' edges agree at every spot of a region.

    Parameters
    ----------
    donors
        (D, 3, h, w) uint8, crops of their spots.

    Returns
    -------
    (products, energy)
        (D, D, S): mean product of the edges of two crops, moved by at most a fifth to where they
        agree best as a whole; (D, S): mean square of a donor's own.
    """
    reach = min(donors.shape[2:]) // _MOVED
    edges, window = _edges(donors, reach)
    number = len(edges)
    flat = edges.reshape(number, -1)
    shifts = list(product(range(-reach, reach + 1), repeat=2))
    agree = torch.stack([flat @ edges.roll(s, (2, 3)).reshape(number, -1).T for s in shifts])
    chosen = agree.argmax(0).triu(1)
    somewhere = (edges != 0).any(1, keepdim=True).any(0, keepdim=True).float()
    inside = (_spots(somewhere, window)[0] > 0) | ~somewhere.any().bool()
    energy = _spots(edges.square().mean(1, keepdim=True), window)[:, inside]
    products = torch.zeros(number, number, int(inside.sum()))
    upper = torch.ones(number, number, dtype=torch.bool).triu(1)
    for turn, shift in enumerate(shifts):
        one, other = (upper & (chosen == turn)).nonzero(as_tuple=True)
        if len(one):
            moved = edges.roll(shift, (2, 3))
            met = _spots((edges[one] * moved[other]).mean(1, keepdim=True), window)[:, inside]
            products[one, other] = met
            products[other, one] = met
    return products, energy


def agreement(products: Tensor, energy: Tensor, member: Tensor) -> Tensor:
    """Return how much groups ``member`` (G, D) differ at the spot where they agree most, (G,).

    It is the share of a difference that is left: 0 for the same edges, 1 for edges that agree no
    more within the group than with the donors outside of it.
    """
    number, size = len(products), member[0].sum()
    met = (member @ products.to(member.dtype).reshape(number, -1)).view(len(member), number, -1)
    within = (met * member[:, :, None]).sum(1)
    between = met.sum(1) - within
    own = member @ energy.to(member.dtype) / size + _FAINT
    others = (1 - member) @ energy.to(member.dtype) / (number - size) + _FAINT
    alike = within / (size * (size - 1)) / own
    anyway = (between / (size * (number - size)) / (own * others).sqrt()).clamp(0, 0.9)
    return ((1 - alike) / (1 - anyway)).amin(1)


def _edges(donors: Tensor, reach: int) -> tuple[Tensor, int]:
    """Return differences of neighbours (D, 6, h, w), and the side of what is compared."""
    coarser = max(1, min(donors.shape[2:]) // _FINEST)
    pixels = functional.avg_pool2d(donors.float(), coarser)
    side = max(2, min(pixels.shape[2:]) // _SPOTS)
    cut = edges_of(pixels).clamp(-_STRONGEST, _STRONGEST)
    return functional.pad(cut, [reach] * 4), side


def _spots(values: Tensor, window: int) -> Tensor:
    """Return the means (n, S) of values (n, 1, h, w) over overlapping spots."""
    return functional.avg_pool2d(values, window, max(1, window // 2)).flatten(1)
