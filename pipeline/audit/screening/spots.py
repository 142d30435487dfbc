"""Spots: where an image shows a detail, cut out as content and put onto others elsewhere.

What lies at another place in every image is at no place of the class. It is where the model looks,
though, so the peaks of an image's own map propose it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.parts import BLOCKS, Part
from pipeline.store import Run

Spot = tuple[int, int]
"""Top and left, in sixteenths of the sides."""

SIDE = 16 // BLOCKS
_ROOM = 16 - SIDE


def peaks(run: Run, rows: Sequence[int]) -> dict[int, Spot]:
    """Return the spots of some rows that hold most of the last layer's map.

    The window moves by sixteenths of the sides.
    """
    order = sorted(set(rows))
    maps = np.asarray(run.maps.oindex[order, -1], np.float32)
    fine = functional.interpolate(torch.from_numpy(maps)[:, None], (16, 16), mode="bilinear")
    held = functional.avg_pool2d(fine.clamp(min=0), SIDE, 1)[:, 0].numpy()
    return {row: _highest(one) for row, one in zip(order, held, strict=True)}


def _highest(held: NDArray[np.float32]) -> Spot:
    top, left = divmod(int(held.argmax()), held.shape[1])
    return top, left


def around(top: float, left: float) -> Spot:
    """Return the spot whose middle is nearest to a point, in sixteenths of the sides."""
    first, second = (min(max(round(place - SIDE / 2), 0), _ROOM) for place in (top, left))
    return first, second


def other_side(spot: Spot) -> Spot:
    """Return a spot that has nothing of this one: half of the room further, in both directions."""
    top, left = ((place + _ROOM // 2) % (_ROOM + 1) for place in spot)
    return top, left


def moved(recipient: Tensor, donor: Tensor, part: Part, spot: Spot, seed: Sequence[int]) -> Tensor:
    """Return a recipient (1, 3, H, W) with the donor's spot at a place that ``seed`` decides."""
    size = (int(donor.shape[2]), int(donor.shape[3]))
    top, left = np.random.default_rng(seed).integers(0, _ROOM + 1, 2).tolist()
    to_rows, to_columns = _slices(part.mask(size, (top, left)))
    cut = cropped(donor, part, spot)
    # Sixteenths may differ by a pixel.
    height = min(cut.shape[2], to_rows.stop - to_rows.start)
    width = min(cut.shape[3], to_columns.stop - to_columns.start)
    found = recipient.clone()
    y, x = to_rows.start, to_columns.start
    found[:, :, y : y + height, x : x + width] = cut[:, :, :height, :width]
    return found


def cropped(donor: Tensor, part: Part, spot: Spot) -> Tensor:
    """Return what a donor (1, 3, H, W) has at a spot, (1, 3, h, w)."""
    rows, columns = _slices(part.mask((int(donor.shape[2]), int(donor.shape[3])), spot))
    return donor[:, :, rows, columns]


def crops(donors: Tensor, spots: Sequence[Spot], part: Part) -> Tensor:
    """Return the spots of donors (D, 3, H, W), of one size, (D, 3, h, w)."""
    pairs = zip(donors, spots, strict=True)
    found = [cropped(donor[None], part, spot) for donor, spot in pairs]
    height, width = (min(crop.shape[side] for crop in found) for side in (2, 3))
    return torch.cat([crop[:, :, :height, :width] for crop in found])


def _slices(mask: Tensor) -> tuple[slice, slice]:
    """Return the rows and columns that a rectangle in a mask fills."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
