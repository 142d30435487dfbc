"""Sums in a fixed order, and the map as a distribution: how much there is, and where."""

from dataclasses import dataclass

import torch
from torch import Tensor


def total(values: Tensor) -> Tensor:
    """Sum over the last dimension (…, n) → (…), always in the same order.

    The range is folded in half again and again by plain additions, so a row's sum has the same
    bits on any device and beside any neighbours; ``torch.sum`` chooses its order by the shape of
    the whole tensor. The rounding error grows with log₂ n only. An empty range sums to 0.
    """
    size = values.shape[-1]
    if size == 0:
        return values.sum(-1)
    half = 1 << (size - 1).bit_length() >> 1
    while size > 1:
        folded = values[..., :half].clone()
        folded[..., : size - half] += values[..., half:]
        values, size, half = folded, half, half // 2
    return values[..., 0]


@dataclass(frozen=True)
class Distribution:
    """Maps over n cells in row order, split into their mass and where it lies.

    ``p`` (…, n) is non-negative and sums to 1; ``mass`` (…) is the sum of the map, in its units.
    ``defined`` (…) is False where the map is zero or not finite: there is no p (zeros stand in
    for it), and the mass of a map that is not finite is NaN.
    """

    p: Tensor
    mass: Tensor
    defined: Tensor

    def where_defined(self, values: Tensor) -> Tensor:
        """Return ``values`` (…) with NaN in the place of every map that has no p."""
        return torch.where(self.defined, values, torch.nan)


def distribution(maps: Tensor) -> Distribution:
    """Split non-negative maps (…, h, w) into mass and p = map / mass.

    Maps are divided by their maximum first, so that neither tiny gradients nor huge ones are
    lost to the range of float32.
    """
    cells = maps.flatten(-2)
    peak = cells.amax(-1)
    defined = peak.isfinite() & (peak > 0)
    relative = torch.where(
        defined[..., None], cells / torch.where(defined, peak, 1.0)[..., None], 0.0
    )
    relative_mass = total(relative)
    mass = peak * relative_mass
    return Distribution(
        p=relative / torch.where(defined, relative_mass, 1.0)[..., None],
        mass=torch.where(mass.isfinite(), mass, torch.nan),
        defined=defined,
    )
