"""Operators: changes of a whole image that a model may have learnt to trust."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import adjust_sharpness, gaussian_blur, rgb_to_grayscale

from pipeline.errors import ConfigError

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Kind:
    """A kind of operator.

    ``amount`` is the usual amount, ``least`` and ``most`` are its limits and ``meaning`` says what
    it is an amount of; ``colour`` is the usual colour, None where the operator has none.
    """

    work: Callable[[Tensor, float, Colour], Tensor]
    amount: float
    least: float
    most: float
    meaning: str
    colour: Colour | None = None


def _tint(images: Tensor, share: float, colour: Colour) -> Tensor:
    return images + share * (_paint(colour) - images)


def _frame(images: Tensor, share: float, colour: Colour) -> Tensor:
    height, width = images.shape[2:]
    thick = max(1, round(share * min(height, width)))
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[thick : height - thick, thick : width - thick] = True
    return torch.where(inside, images, _paint(colour))


def _bars(images: Tensor, share: float, colour: Colour) -> Tensor:
    height = images.shape[2]
    thick = max(1, round(share * height))
    inside = torch.zeros(height, 1, dtype=torch.bool)
    inside[thick : height - thick] = True
    return torch.where(inside, images, _paint(colour))


def _blur(images: Tensor, share: float, colour: Colour) -> Tensor:
    sigma = share * min(images.shape[2:])
    side = min(2 * int(np.ceil(3 * sigma)) + 1, min(images.shape[2:]) // 2 * 2 - 1)
    blurred: Tensor = gaussian_blur(images, [side, side], [sigma, sigma])
    return blurred


def _sharpen(images: Tensor, factor: float, colour: Colour) -> Tensor:
    sharpened: Tensor = adjust_sharpness(images / 255, factor)
    return 255 * sharpened


def _jpeg(images: Tensor, quality: float, colour: Colour) -> Tensor:
    found = []
    for image in images.round().to(torch.uint8).permute(0, 2, 3, 1).numpy():
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=round(quality))
        found.append(torch.from_numpy(np.array(Image.open(stream).convert("RGB"))))
    return torch.stack(found).permute(0, 3, 1, 2).float()


def _grayscale(images: Tensor, share: float, colour: Colour) -> Tensor:
    grey: Tensor = rgb_to_grayscale(images, 3)
    return images + share * (grey - images)


def _brightness(images: Tensor, factor: float, colour: Colour) -> Tensor:
    return images * factor


def _noise(images: Tensor, levels: float, colour: Colour) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return images + levels * torch.randn(images.shape, generator=random)


def _scale(images: Tensor, share: float, colour: Colour) -> Tensor:
    height, width = images.shape[2:]
    size = (max(1, round(share * height)), max(1, round(share * width)))
    small = functional.interpolate(images, size, mode="bicubic", antialias=True)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    found = _paint(colour).expand(images.shape).clone()
    found[:, :, top : top + size[0], left : left + size[1]] = small
    return found


def _paint(colour: Colour) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32)[:, None, None]


_RED, _BLACK, _GREY = (200, 30, 30), (0, 0, 0), (128, 128, 128)

OPERATORS = {
    "tint": Kind(_tint, 0.2, 0.01, 1, "share of the colour", _RED),
    "frame": Kind(_frame, 0.025, 0.005, 0.4, "width, as a share of the shorter side", _RED),
    "bars": Kind(_bars, 0.08, 0.005, 0.4, "height of each bar, as a share of the height", _BLACK),
    "blur": Kind(_blur, 0.012, 0.001, 0.1, "deviation, as a share of the shorter side"),
    "sharpen": Kind(_sharpen, 4, 1, 20, "factor; 1 changes nothing"),
    "jpeg": Kind(_jpeg, 10, 1, 95, "JPEG quality"),
    "grayscale": Kind(_grayscale, 1, 0.01, 1, "share of the colour that is taken away"),
    "brightness": Kind(_brightness, 0.5, 0, 5, "factor; 1 changes nothing"),
    "noise": Kind(_noise, 25, 1, 255, "deviation, in levels of 0 to 255"),
    "scale": Kind(_scale, 0.6, 0.1, 0.99, "side that is left, on an even ground", _GREY),
}
"""Name → kind."""


@dataclass(frozen=True)
class Operator:
    """An operator with its amount and colour."""

    name: str
    amount: float
    colour: Colour | None

    def __call__(self, images: Tensor) -> Tensor:
        """Return images (n, 3, H, W) uint8, changed; the same for the same images."""
        changed = OPERATORS[self.name].work(images.float(), self.amount, self.colour or (0, 0, 0))
        return changed.round().clamp(0, 255).to(torch.uint8)

    @property
    def description(self) -> str:
        """What is done, with all that was assumed."""
        kind = OPERATORS[self.name]
        said = f"{self.name}, {self.amount:g} ({kind.meaning})"
        if self.colour is None:
            return said
        return f"{said}, colour #{bytes(self.colour).hex()}"


def operator(name: str, amount: float | None = None, colour: str | None = None) -> Operator:
    """Return an operator; what is None is the usual.

    Raises
    ------
    ConfigError
        There is no such operator, the amount is out of its range, the colour is not as #rrggbb or
        the operator has none.
    """
    if name not in OPERATORS:
        raise ConfigError(f"there is no operator {name!r}; choose {', '.join(OPERATORS)}")
    kind = OPERATORS[name]
    amount = kind.amount if amount is None else amount
    if not kind.least <= amount <= kind.most:
        raise ConfigError(
            f"the amount of {name} is its {kind.meaning}: {kind.least:g} to {kind.most:g}, "
            f"not {amount:g}"
        )
    if colour is None:
        return Operator(name, amount, kind.colour)
    if kind.colour is None:
        raise ConfigError(f"{name} has no colour; leave it out")
    return Operator(name, amount, _parsed(colour))


def _parsed(colour: str) -> Colour:
    digits = colour.removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError:
        raise ConfigError(f"{colour!r} is no colour; write it as #c81e1e") from None
    return red, green, blue
