"""Parts: what of one image can be put onto another, the same for every class.

A part is a region, pasted where it was; the spot that an image is looked at most, pasted somewhere
else (:mod:`~pipeline.audit.screening.spots`); or a property of the whole image, transferred while
the other image keeps its content (:mod:`~pipeline.audit.screening.transfers`, and the means of
colours and the amplitudes of the spectrum, which every image has).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pipeline.audit.screening import transfers
from pipeline.audit.screening.transfers import as_image

BLOCKS = 4
"""Blocks on each side of the image; a strip is as wide as one."""

_BAR = 8
"""Bars at two opposite edges are this part of a side wide each."""

_RING = 14
"""A ring is this part of a side wide: one cell of a usual grid."""


@dataclass(frozen=True)
class Part:
    """A part by its ``key`` in tables and its ``words`` in sentences.

    ``box`` is (top, left, bottom, right) in sixteenths of the sides, None of what has no box;
    ``onto`` puts the part of donors onto recipients, (n, 3, H, W) uint8 each. ``rank`` is that of
    a spot among those looked at, None of what does not lie at another place in every image; its
    ``box`` lies in the corner, and ``onto`` is that of
    :func:`~pipeline.audit.screening.spots.moved`. ``is_property``: most images lack it, and its
    transfer from these changes nothing.
    """

    key: str
    words: str
    onto: Callable[[Tensor, Tensor], Tensor]
    box: tuple[int, int, int, int] | None = None
    rank: int | None = None
    is_property: bool = False

    @property
    def is_region(self) -> bool:
        """Whether it lies somewhere: it can be erased and looked at."""
        return self.box is not None or self.key in _FRAMES

    @property
    def moves(self) -> bool:
        """Whether it lies at another place in every image."""
        return self.rank is not None

    @property
    def has_other_side(self) -> bool:
        """Whether its mirror image is another place."""
        return self.box is not None and self.box[1] + self.box[3] != 16

    def mask(self, size: tuple[int, int], spot: tuple[int, int] = (0, 0)) -> Tensor:
        """Return where a region lies in an image of ``size`` (H, W), bool (H, W).

        ``spot`` is where it lies if it moves: its top and left, in sixteenths of the sides.
        """
        if self.box is None:
            return _FRAMES[self.key](size)
        down, right = spot
        top, left, bottom, end = self.box
        return _inside((top + down, left + right, bottom + down, end + right), size)

    def compared(self, size: tuple[int, int]) -> Tensor:
        """Return what of images of ``size`` is compared, bool (H, W): of spots, crops are given."""
        return torch.ones(size, dtype=torch.bool) if self.moves else self.mask(size)


def _inside(box: tuple[int, int, int, int], size: tuple[int, int]) -> Tensor:
    height, width = size
    top, left, bottom, right = box
    mask = torch.zeros(size, dtype=torch.bool)
    rows = slice(top * height // 16, bottom * height // 16)
    mask[rows, left * width // 16 : right * width // 16] = True
    return mask


def _ring(size: tuple[int, int]) -> Tensor:
    y, x = (max(1, -(-side // _RING)) for side in size)
    mask = torch.ones(size, dtype=torch.bool)
    mask[y : size[0] - y, x : size[1] - x] = False
    return mask


def _ends(size: tuple[int, int]) -> Tensor:
    mask = torch.ones(size, dtype=torch.bool)
    edge = -(-size[0] // _BAR)
    mask[edge : size[0] - edge] = False
    return mask


def _sides(size: tuple[int, int]) -> Tensor:
    return _ends((size[1], size[0])).T


_FRAMES = {"ring": _ring, "ends": _ends, "sides": _sides}
"""Regions at several edges, which have no other side."""


def _pasted(box: tuple[int, int, int, int]) -> Callable[[Tensor, Tensor], Tensor]:
    return _frame(partial(_inside, box))


def _frame(where: Callable[[tuple[int, int]], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def onto(recipients: Tensor, donors: Tensor) -> Tensor:
        mask = where((int(recipients.shape[2]), int(recipients.shape[3])))
        return torch.where(mask.to(recipients.device), donors, recipients)

    return onto


def with_colours(recipients: Tensor, donors: Tensor) -> Tensor:
    """Return recipients whose channels have the means and deviations of the donors'.

    Reinhard et al., "Color transfer between images", 2001, in the channels of the image itself.
    """
    to, of = recipients.float(), donors.float()
    mean, spread = to.mean((2, 3), keepdim=True), to.std((2, 3), keepdim=True).clamp(min=1)
    scaled = (to - mean) / spread * of.std((2, 3), keepdim=True) + of.mean((2, 3), keepdim=True)
    return as_image(scaled)


def with_spectrum(recipients: Tensor, donors: Tensor) -> Tensor:
    """Return recipients with the amplitudes of the donors' spectra and their own phases.

    What an image shows is in its phases: Oppenheim & Lim, "The importance of phase in signals",
    1981.
    """
    phases = torch.fft.rfft2(recipients.float()).angle()
    amplitudes = torch.fft.rfft2(donors.float()).abs()
    size = (int(recipients.shape[2]), int(recipients.shape[3]))
    return as_image(torch.fft.irfft2(torch.polar(amplitudes, phases), s=size))


_ROWS = ("top", "upper middle", "lower middle", "bottom")
_COLUMNS = ("left", "left of the centre", "right of the centre", "right")


def _parts() -> Iterator[Part]:
    side = 16 // BLOCKS
    for y, row in enumerate(_ROWS):
        for x, column in enumerate(_COLUMNS):
            box = (y * side, x * side, (y + 1) * side, (x + 1) * side)
            yield Part(f"block_{y}{x}", f"block at the {row}, {column}", _pasted(box), box)
    for key, words, box in (
        ("top", "strip at the top", (0, 0, 4, 16)),
        ("bottom", "strip at the bottom", (12, 0, 16, 16)),
        ("left", "strip at the left", (0, 0, 16, 4)),
        ("right", "strip at the right", (0, 12, 16, 16)),
    ):
        yield Part(key, words, _pasted(box), box)
    yield Part("ring", "frame", _frame(_ring))
    yield Part("ends", "strips at top and bottom", _frame(_ends))
    yield Part("sides", "strips at left and right", _frame(_sides))
    yield Part("colours", "colour statistics", with_colours)
    yield Part("spectrum", "amplitude spectrum", with_spectrum)
    box = (0, 0, side, side)
    for rank, (key, words) in enumerate(
        (("peak", "most looked-at spot"), ("second_peak", "second most looked-at spot"))
    ):
        yield Part(key, words, _pasted(box), box, rank)
    for key, words, onto in (
        ("range", "range of colours", transfers.with_range),
        ("saturation", "lack of colours", transfers.with_saturation),
        ("detail", "sharpness", transfers.with_detail),
        ("compression", "compression", transfers.with_compression),
        ("lines", "stripes", transfers.with_lines),
        ("noise", "noise", transfers.with_noise),
        ("margin", "even margin", transfers.with_margin),
    ):
        yield Part(key, words, onto, is_property=True)


PARTS = {part.key: part for part in _parts()}
"""Key → part; the order is that of tables."""
