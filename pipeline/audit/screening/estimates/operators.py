"""Operators: what a group of images has more of than the rest, as a change of any other image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.audit.screening.estimates import transfers
from pipeline.audit.screening.estimates.overlay import estimate_overlay
from pipeline.audit.screening.estimates.sharpness import estimate_sharpness
from pipeline.audit.screening.estimates.tones import estimate_tone
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.spots import Spot, moved

_TRANSFERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "compression": transfers.with_compression,
    "lines": transfers.with_lines,
    "noise": transfers.with_noise,
    "margin": transfers.with_margin,
}


@dataclass(frozen=True)
class Operator:
    """``onto`` changes an image (1, 3, H, W) uint8 that has a number.

    ``donors`` images of the group take turns; 1 where all of them make one estimate.
    """

    onto: Callable[[Tensor, int], Tensor]
    donors: int = 1


def estimated(key: str, group: Tensor, rest: Tensor) -> Operator:
    """Estimate what a group (g, 3, H, W) uint8 has of a part, and the rest (r, 3, H, W) has not.

    Any region is the overlay of the group, wherever it is. A spot is cut out by :func:`pasted`.
    """
    if key in _TRANSFERS:
        transfer = _TRANSFERS[key]
        return Operator(lambda image, number: transfer(image, _turn(group, number)), len(group))
    if key == "colours":
        tone = estimate_tone(group, rest)
        return Operator(lambda image, number: tone.onto(image))
    if key == "detail":
        sharpness = estimate_sharpness(group, rest)
        return Operator(lambda image, number: sharpness.onto(image))
    overlay = estimate_overlay(group, rest)
    return Operator(lambda image, number: overlay.onto(image))


def pasted(group: Tensor, rows: Sequence[int], spots: Sequence[Spot], key: str) -> Operator:
    """Return what pastes the spots of a group (g, 3, H, W) uint8, each at a random place."""

    def onto(image: Tensor, number: int) -> Tensor:
        turn = number % len(rows)
        return moved(image, group[turn : turn + 1], PARTS[key], spots[turn], (rows[turn], number))

    return Operator(onto, len(rows))


def _turn(group: Tensor, number: int) -> Tensor:
    turn = number % len(group)
    return group[turn : turn + 1]
