"""What to use for a model that a method does not support, by the modules of the model."""

from torch import nn

from pipeline.models.structure.tokens import has_tokens

_CONVOLUTIONS = 3
"""A transformer's patch embedding has one or two, a convolutional stem more."""


def instead(model: nn.Module) -> str:
    """Return which flow.method suits a model, or which of its modules to pass, as a clause."""
    inner = [path for path, part in model.named_modules() if path and has_tokens(part)]
    if inner:
        kind = type(model.get_submodule(inner[0])).__name__
        return f"if it only wraps a {kind}, pass model.{inner[0]}; else use input_gradient"
    if has_tokens(model):
        return "use flow.method gradcam, or input_gradient"
    convolutions = sum(isinstance(part, nn.Conv2d) for part in model.modules())
    if convolutions >= _CONVOLUTIONS and not _attends(model):
        return "use flow.method naflow or gradcam, which are made for convolutional networks"
    if hasattr(model, "forward_features"):
        return "use flow.method gradcam or input_gradient"
    return "use flow.method input_gradient, or the timm version of the same model"


def _attends(model: nn.Module) -> bool:
    return any(
        isinstance(part, nn.MultiheadAttention) or hasattr(part, "fused_attn")
        for part in model.modules()
    )
