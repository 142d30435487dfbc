"""``InputTransform``: the model's own evaluation transform, for pixels and for boxes."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    import torch

_RESAMPLING = {mode.name.lower(): mode for mode in Image.Resampling}
_CROP_MODES = ("center", "squash", "border")
_MOST_PIXELS = 1 << 26


@dataclass(frozen=True)
class _Geometry:
    """Resize to ``width`` × ``height``, then cut the input out at (``left``, ``top``).

    A negative corner means that the resized image is smaller than the input and is padded.
    """

    width: int
    height: int
    left: int
    top: int


@dataclass(frozen=True)
class InputTransform:
    """timm's evaluation transform: resize, crop (or pad), normalise.

    Parameters are timm's: ``size`` is (height, width) of the input in pixels, ``crop_pct`` the
    share of the resized edge that is kept, ``crop_mode`` center (shortest edge is resized), squash
    (both edges) or border (longest edge; padded with the mean colour).

    Raises
    ------
    ConfigError
        A parameter is out of range.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str = "center"

    def __post_init__(self) -> None:
        if self.interpolation not in _RESAMPLING:
            raise ConfigError(f"model.input.interpolation must be one of {', '.join(_RESAMPLING)}")
        if self.crop_mode not in _CROP_MODES:
            raise ConfigError(f"model.input.crop_mode must be one of {', '.join(_CROP_MODES)}")
        if min(self.size) < 1 or self.crop_pct <= 0 or min(self.std) <= 0:
            raise ConfigError("model.input: size, crop_pct and std must be positive")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "InputTransform":
        """Inverse of :meth:`to_dict`; optional fields may be absent, unknown ones are refused."""
        unknown = content.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise ConfigError(f"model.input has no field {', '.join(sorted(unknown))}")
        lists = {name: tuple(content[name]) for name in ("size", "mean", "std")}
        return cls(**{**content, **lists})

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Return the model's input before normalisation, uint8 (3, H, W), of an RGB image."""
        plan = self._geometry(*image.size)
        resampling = _RESAMPLING[self.interpolation]
        height, width = self.size
        if plan.width * plan.height > _MOST_PIXELS:
            image, plan = self._cut_first(image, plan)
        elif image.size != (plan.width, plan.height):
            image = image.resize((plan.width, plan.height), resampling)
        if (plan.left, plan.top, *image.size) != (0, 0, width, height):
            canvas = Image.new("RGB", (width, height), self._fill())
            canvas.paste(image, (-plan.left, -plan.top))
            image = canvas
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def normalise(self, images: "torch.Tensor") -> "torch.Tensor":
        """Return (x / 255 − mean) / std of uint8 (B, 3, H, W) as float32 on the same device."""
        import torch  # here, as reading a run does not need it (half a gigabyte)

        mean, std = (
            torch.tensor(value, dtype=torch.float32, device=images.device).view(3, 1, 1)
            for value in (self.mean, self.std)
        )
        return images.to(torch.float32).div_(255).sub_(mean).div_(std)

    def boxes(self, boxes: Any, width: int, height: int) -> np.ndarray:
        """Return where boxes of an image lie in the model's input.

        ``boxes`` is (K, 4), x0, y0, x1, y1 in pixels of the upright image of ``width`` × ``height``
        pixels. The result is float32 (K', 4) in fractions of the input, clipped to [0, 1]; boxes
        with no area inside the crop are dropped.
        """
        plan = self._geometry(width, height)
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        scale = np.array([plan.width / width, plan.height / height] * 2)
        offset = np.array([plan.left, plan.top] * 2)
        size = np.array(self.size[::-1] * 2)
        moved = np.clip((corners * scale - offset) / size, 0, 1).astype(np.float32)
        kept = (moved[:, 2:] > moved[:, :2]).all(axis=1)
        return np.asarray(moved[kept])

    def _fill(self) -> tuple[int, int, int]:
        if self.crop_mode != "border":
            return (0, 0, 0)
        red, green, blue = (round(255 * value) for value in self.mean)
        return (red, green, blue)

    def _geometry(self, width: int, height: int) -> _Geometry:
        """Return timm's sizes, with its rounding (which differs between the modes)."""
        target = [math.floor(edge / self.crop_pct) for edge in self.size]
        if self.crop_mode == "squash":
            resized = (target[1], target[0])
        elif self.crop_mode == "center" and target[0] == target[1]:
            short, long = sorted((width, height))
            longer = int(target[0] * long / short)
            resized = (target[0], longer) if width <= height else (longer, target[0])
        else:
            ratios = (height / target[0], width / target[1])
            ratio = max(ratios) if self.crop_mode == "border" else min(ratios)
            resized = (max(1, round(width / ratio)), max(1, round(height / ratio)))
        left, top = (
            _corner(have, need) for have, need in zip(resized, self.size[::-1], strict=True)
        )
        return _Geometry(*resized, left, top)

    def _cut_first(self, image: Image.Image, plan: _Geometry) -> tuple[Image.Image, _Geometry]:
        """Resize only what the crop keeps: an image of 1 × 60,000 pixels would exhaust the memory.

        Unlike timm's, pixels at the edges of the crop then do not depend on pixels outside it.
        """
        x0, y0 = max(plan.left, 0), max(plan.top, 0)
        x1 = min(plan.left + self.size[1], plan.width)
        y1 = min(plan.top + self.size[0], plan.height)
        across, down = image.width / plan.width, image.height / plan.height
        box = (x0 * across, y0 * down, x1 * across, y1 * down)
        part = image.resize((x1 - x0, y1 - y0), _RESAMPLING[self.interpolation], box=box)
        return part, _Geometry(*part.size, plan.left - x0, plan.top - y0)


def _corner(have: int, need: int) -> int:
    """Return where a centred window of ``need`` pixels starts; negative where it is padded."""
    return -((need - have) // 2) if need > have else round((have - need) / 2)
