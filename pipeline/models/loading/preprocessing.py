"""The images that a model takes and the names of its outputs, as its library keeps them."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from pipeline.models.loading.load import input_of

_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's filters, by number."""


def input_beside(known: object) -> dict[str, Any] | None:
    """Return the input that an object beside a model describes; None if it is none that is known.

    That is a dictionary of the fields of ``model.input``, the ``transforms()`` of torchvision's
    weights, or an image processor of transformers. A field that it does not state is left out.
    """
    if isinstance(known, Mapping):
        return {str(name): plain(value) for name, value in known.items()}
    if hasattr(known, "crop_size") and hasattr(known, "resize_size"):
        return _of_torchvision(known)
    if hasattr(known, "image_mean") and hasattr(known, "image_std"):
        return _of_processor(known)
    return None


def input_within(model: nn.Module) -> dict[str, Any]:
    """Return the fields of the input that a model itself states.

    Those of timm and open_clip state all of them, those of transformers and torchvision at most
    the size.
    """
    if getattr(model, "pretrained_cfg", None):
        return input_of(model)
    config: Any = getattr(model, "preprocess_cfg", None)
    if isinstance(config, Mapping) and {"size", "mean", "std"} <= config.keys():
        squash = config.get("resize_mode") == "squash"
        return {
            "size": _both(config["size"]),
            "mean": plain(config["mean"]),
            "std": plain(config["std"]),
            "interpolation": str(config.get("interpolation", "bicubic")),
            "crop_pct": 1.0,
            "crop_mode": "squash" if squash else "center",
        }
    config = getattr(model, "config", model)
    config = getattr(config, "vision_config", config)
    size = getattr(config, "image_size", None)
    known = isinstance(size, int) or (isinstance(size, Sequence) and len(size) == 2)
    return {"size": _both(size)} if known else {}


def labels_within(model: nn.Module, count: int) -> list[str] | None:
    """Return the names of ``count`` outputs that a model of transformers states, if it does."""
    known: Any = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(known, Mapping) or len(known) != count:
        return None
    names = [known.get(index, known.get(str(index))) for index in range(count)]
    if any(name is None or str(name) == f"LABEL_{index}" for index, name in enumerate(names)):
        return None  # those that transformers makes up
    return [str(name) for name in names]


def plain(value: Any) -> Any:
    """Return a sequence as a list."""
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _both(size: Any) -> list[int]:
    return [int(size)] * 2 if isinstance(size, int) else [int(side) for side in size]


def _of_torchvision(preset: Any) -> dict[str, Any]:
    side, edge = preset.crop_size[0], preset.resize_size[0]
    return {
        "size": [side, side],
        "mean": [float(value) for value in preset.mean],
        "std": [float(value) for value in preset.std],
        "interpolation": str(preset.interpolation.value),
        "crop_pct": side / edge,
        "crop_mode": "center",
    }


def _of_processor(processor: Any) -> dict[str, Any]:
    """Read an image processor: it resizes the shortest edge or both, and may crop the centre."""
    found: dict[str, Any] = {"mean": [0.0] * 3, "std": [1.0] * 3}
    if getattr(processor, "do_normalize", True):
        found["mean"] = [float(value) for value in processor.image_mean]
        found["std"] = [float(value) for value in processor.image_std]
    resample = getattr(processor, "resample", None)
    if resample is not None and 0 <= int(resample) < len(_RESAMPLING):
        found["interpolation"] = _RESAMPLING[int(resample)]
    size, crop = processor.size, getattr(processor, "crop_size", None)
    edge, height, width = (_side(size, name) for name in ("shortest_edge", "height", "width"))
    high, wide = _side(crop, "height"), _side(crop, "width")
    if not getattr(processor, "do_center_crop", False):
        high = wide = None
    if edge and high and wide:
        found |= {"size": [high, wide], "crop_pct": max(high, wide) / edge, "crop_mode": "center"}
    elif height and width and high and wide:
        found |= {"size": [high, wide], "crop_pct": high / height, "crop_mode": "squash"}
    elif height and width:
        found |= {"size": [height, width], "crop_pct": 1.0, "crop_mode": "squash"}
    elif edge and (share := getattr(processor, "crop_pct", None)):
        # ConvNeXt's: images of 384 pixels and more are squashed, smaller ones cropped.
        whole = edge >= 384
        found |= {"size": [edge, edge], "crop_pct": 1.0 if whole else float(share)}
        found["crop_mode"] = "squash" if whole else "center"
    return found


def _side(size: Any, name: str) -> int | None:
    value = size.get(name) if isinstance(size, Mapping) else getattr(size, name, None)
    return None if value is None else int(value)
