"""``InputTransform``: the model's own evaluation transform, for pixels and for boxes."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.errors import ConfigError
from pipeline.images.resize import BY_TORCH, Pixels, resized_by_pillow, resized_by_torch

if TYPE_CHECKING:
    import torch

_RESAMPLING = {mode.name.lower(): mode for mode in Image.Resampling}
_CROP_MODES = ("center", "squash", "border")
_RESIZERS = ("pillow", "torch")
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
    (both edges) or border (longest edge; padded with the mean colour). ``resize`` says who resizes:
    pillow, which gives timm's very pixels, or torch (:func:`resized_by_torch`), for ``bilinear``
    and ``bicubic``.

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
    resize: str = "pillow"

    def __post_init__(self) -> None:
        if self.interpolation not in _RESAMPLING:
            raise ConfigError(f"model.input.interpolation must be one of {', '.join(_RESAMPLING)}")
        if self.crop_mode not in _CROP_MODES:
            raise ConfigError(f"model.input.crop_mode must be one of {', '.join(_CROP_MODES)}")
        if self.resize not in _RESIZERS:
            raise ConfigError(f"model.input.resize must be one of {', '.join(_RESIZERS)}")
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
        """Return plain JSON types; ``resize`` only if it is not Pillow, as in earlier versions."""
        content = asdict(self)
        if not self.by_torch:
            del content["resize"]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in content.items()
        }

    @property
    def by_torch(self) -> bool:
        """Whether torch resizes."""
        return self.resize == "torch" and self.interpolation in BY_TORCH

    def __call__(self, image: Image.Image | Pixels) -> Pixels:
        """Return the model's input before normalisation, uint8 (3, H, W).

        ``image`` is RGB: a Pillow image, or uint8 (height, width, 3), which torch resizes faster.
        """
        has = image.size if isinstance(image, Image.Image) else (image.shape[1], image.shape[0])
        plan = self._geometry(*has)
        window = self._window(plan)
        kept = self._kept(image, has, plan, window)
        if kept.shape[1:] == self.size:
            return np.ascontiguousarray(kept)
        padded = np.empty((3, *self.size), np.uint8)
        padded[:] = np.array(self._fill(), np.uint8)[:, None, None]
        x, y = window[0] - plan.left, window[1] - plan.top
        padded[:, y : y + kept.shape[1], x : x + kept.shape[2]] = kept
        return padded

    def _window(self, plan: _Geometry) -> tuple[int, int, int, int]:
        """Return x0, y0, x1, y1 of what the input shows of the resized image."""
        right, bottom = plan.left + self.size[1], plan.top + self.size[0]
        return max(plan.left, 0), max(plan.top, 0), min(right, plan.width), min(bottom, plan.height)

    def _kept(
        self,
        image: Image.Image | Pixels,
        has: tuple[int, int],
        plan: _Geometry,
        window: tuple[int, int, int, int],
    ) -> Pixels:
        """Return the window of the resized image, (3, rows, columns)."""
        size, resampling = (plan.height, plan.width), _RESAMPLING[self.interpolation]
        x0, y0, x1, y1 = window
        sliver = plan.width * plan.height > _MOST_PIXELS
        if self.by_torch and not sliver:
            pixels = image if isinstance(image, np.ndarray) else np.array(image)
            if size == has[::-1]:
                return pixels[y0:y1, x0:x1].transpose(2, 0, 1)
            return resized_by_torch(pixels, size, window, self.interpolation)
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        if sliver:
            # Only what is kept: an image of 1 × 60,000 pixels would exhaust the memory.
            across, down = has[0] / plan.width, has[1] / plan.height
            box = (x0 * across, y0 * down, x1 * across, y1 * down)
            part = image.resize((x1 - x0, y1 - y0), resampling, box=box)
            return np.asarray(part).transpose(2, 0, 1)
        return resized_by_pillow(image, size, window, resampling)

    def normalise(self, images: "torch.Tensor") -> "torch.Tensor":
        """Return (x / 255 − mean) / std of uint8 (B, 3, H, W) as float32 on the same device."""
        import torch  # here, as reading a run does not need it (half a gigabyte)

        mean, std = (_per_channel(value, images.device) for value in (self.mean, self.std))
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


@cache
def _per_channel(value: tuple[float, float, float], device: "torch.device") -> "torch.Tensor":
    """Return a number for each channel (3, 1, 1), once: a GPU would wait for every copy of it."""
    import torch

    with torch.inference_mode(False):
        return torch.tensor(value, dtype=torch.float32, device=device).view(3, 1, 1)


def _corner(have: int, need: int) -> int:
    """Return where a centred window of ``need`` pixels starts; negative where it is padded."""
    return -((need - have) // 2) if need > have else round((have - need) / 2)


def crop_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two transforms, as JSON, differ at most in who resizes: by a level or two."""
    return {**one, "resize": ""} == {**other, "resize": ""}
