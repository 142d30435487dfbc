"""At which depth of the model the evidence comes together."""

import math

import torch
from torch import Tensor

from pipeline.measures.mass import Distribution, total
from pipeline.measures.shape import entropy

TOLERANCE = 0.05
"""Largest divergence, in bits, at which a map counts as the final one."""


def shares(mass: Tensor) -> Tensor:
    """Return each layer's share of the mass (B, L), in [0, 1]; NaN where there is no mass."""
    return mass / total(mass)[:, None]


def depth_centre(share: Tensor) -> Tensor:
    """Return the mean depth of the mass, Σ b·share_b / (L − 1), (B,) in [0, 1].

    Relative depth, so that models of different depth compare: 0 is the first layer, 1 the last;
    0 where there is one layer only.
    """
    last = share.shape[1] - 1
    layer = torch.arange(last + 1, dtype=share.dtype, device=share.device)
    return total(share * (layer / max(last, 1)))


def jensen_shannon(one: Distribution, other: Distribution) -> Tensor:
    """Return the Jensen–Shannon divergence of two maps over n cells, (…, n) each → (…).

    In bits, within [0, 1] (Lin 1991, eq. 4.1); exactly 0 for equal maps, NaN where either is
    undefined.
    """
    nats = entropy((one.p + other.p) / 2) - (entropy(one.p) + entropy(other.p)) / 2
    bits = (nats / math.log(2)).clamp(0, 1)
    return torch.where(one.defined & other.defined, bits, torch.nan)


def divergence(accumulated: Distribution) -> Tensor:
    """Return the Jensen–Shannon divergence of every P_b (B, L, n) to the last P_L, (B, L)."""
    last = (values[:, -1:] for values in (accumulated.p, accumulated.mass, accumulated.defined))
    return jensen_shannon(accumulated, Distribution(*last))


def convergence_depth(accumulated: Distribution) -> Tensor:
    """Return the least layer from which on the accumulated map is nearly the final one, (B,).

    That is the least b (from 0) with a divergence ≤ :data:`TOLERANCE` for all b′ ≥ b. A layer
    before any mass has not converged; an image without mass has NaN.
    """
    near = divergence(accumulated) <= TOLERANCE
    tail = near.flip(1).to(torch.int64).cumprod(1).sum(1)
    depth = (near.shape[1] - tail).to(accumulated.p.dtype)
    return torch.where(accumulated.defined[:, -1], depth, torch.nan)


def known_depth(readout_rank: Tensor) -> Tensor:
    """Return the first layer from which on the explained class is the most likely one, (B,).

    ``readout_rank`` (B, L) is 1 where it is (:mod:`pipeline.flows.methods.projection`). L where
    the class is not the most likely one behind the last layer, NaN where a rank is not finite.
    """
    first = readout_rank == 1
    tail = first.flip(1).to(torch.int64).cumprod(1).sum(1)
    depth = (first.shape[1] - tail).to(readout_rank.dtype)
    return torch.where(readout_rank.isfinite().all(1), depth, torch.nan)
