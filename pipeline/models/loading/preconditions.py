"""Requirements on a network before any method uses it, checked on every module."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from pipeline.errors import UnsupportedModel

_NAMED = 3


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network with the layers, without wrappers that do not change its results.

    These are ``DataParallel``, ``DistributedDataParallel``, ``torch.compile``, timm's and torch's
    averaged models, and of PEFT adapters that live in the network's own layers.

    Raises
    ------
    UnsupportedModel
        The wrapper changes what is computed, or hides its layers; the message says what to pass.
    """
    while (inner := _inside(model)) is not None:
        model = inner
    return model


def _inside(model: nn.Module) -> nn.Module | None:
    """Return the module in a wrapper; None if the module is not a wrapper."""
    owner, name = type(model).__module__, type(model).__name__
    if owner.startswith("peft.") and hasattr(model, "get_base_model"):
        config: Any = getattr(model, "active_peft_config", None)
        if getattr(config, "is_prompt_learning", False):
            raise UnsupportedModel(
                f"{name} adds learned prompts in its own forward, outside of any layer; "
                "pass a model whose adapters are in its layers (LoRA), or merge_and_unload()"
            )
        return model.get_base_model()  # type: ignore[operator, no-any-return]
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModel(
            f"{name} is TorchScript, which hides its layers; pass the Python model it was made of"
        )
    if owner.startswith("torch.distributed") and "FullySharded" in name:
        raise UnsupportedModel(
            f"{name} holds only shards of its weights; load its full state_dict into the plain "
            "model and pass that"
        )
    if isinstance(model, DataParallel | DistributedDataParallel):
        return model.module  # type: ignore[no-any-return]
    if name == "OptimizedModule" and owner.startswith("torch._dynamo"):
        return model._orig_mod  # type: ignore[return-value]
    if owner in ("timm.utils.model_ema", "torch.optim.swa_utils"):
        return model.module  # type: ignore[return-value]
    return None


def check_ready(model: nn.Module) -> None:
    """Refuse a network whose maps would be random, wrong or impossible to differentiate.

    Every module must be in evaluation mode: one that was added after ``model.eval()`` would draw
    other maps at each call (dropout), or be changed by them (batch norm).

    Raises
    ------
    UnsupportedModel
        One is in training mode or compiled, or a parameter has no values, is an inference
        tensor, or lies on another device than the first.
    """
    name = type(model).__name__
    if training := [path or name for path, part in model.named_modules() if part.training]:
        training = training[:1] if model.training else training
        raise UnsupportedModel(
            f"{_some(training)} {_is(training)} in training mode, which makes maps random or "
            "changes the model; call model.eval() after its last change"
        )
    compiled = [
        path or name
        for path, part in model.named_modules()
        if getattr(part, "_compiled_call_impl", None) is not None
        or type(part).__name__ == "OptimizedModule"
    ]
    if compiled:
        raise UnsupportedModel(
            f"{_some(compiled)} {_is(compiled)} compiled, which hides the layers inside; "
            "pass the model as it was before torch.compile"
        )
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    if empty := [key for key, tensor in tensors.items() if is_lazy(tensor) or tensor.is_meta]:
        raise UnsupportedModel(
            f"{_some(empty)} {'has' if len(empty) == 1 else 'have'} no values yet; "
            "load weights, or run the model once"
        )
    if frozen := [key for key, tensor in tensors.items() if tensor.is_inference()]:
        raise UnsupportedModel(
            f"{_some(frozen)} {_is(frozen)} made under torch.inference_mode, through which no "
            "gradient flows; build and load the model outside of it (torch.no_grad is fine)"
        )
    if len(devices := {str(tensor.device) for tensor in tensors.values()}) > 1:
        raise UnsupportedModel(
            f"{name} lies on {' and '.join(sorted(devices))}; move all of it to one device"
        )


def check_images(model: nn.Module, images: Tensor) -> None:
    """Refuse images (B, 3, H, W) that do not fit the model's weights.

    Raises
    ------
    ValueError
        They do not have the shape, type or device of the model's input.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"images must be normalised floats (B, 3, H, W), not {tuple(images.shape)} of "
            f"{images.dtype}"
        )
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)
    if weight is None:
        return
    if weight.device != images.device:
        raise ValueError(
            f"the model is on {weight.device} and the images on {images.device}; "
            "move both to the same device"
        )
    if weight.dtype != images.dtype and not torch.is_autocast_enabled(images.device.type):
        raise ValueError(
            f"the model's weights are {weight.dtype} and the images {images.dtype}; "
            f"use model.float(), with torch.autocast for half precision, or images.to"
            f"({weight.dtype})"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (
        f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    )


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
