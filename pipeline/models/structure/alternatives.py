"""What to use for a model that a method cannot see, by what the model is made of."""

from torch import nn

from pipeline.models.structure.tokens import has_tokens

_CONVOLUTIONS = 3
"""A transformer's patch embedding has one or two; a stem more."""


def instead(model: nn.Module) -> str:
    """Say which flow.method fits a model, or which of its modules to pass; a clause."""
    inner = [path for path, part in model.named_modules() if path and has_tokens(part)]
    if inner:
        kind = type(model.get_submodule(inner[0])).__name__
        return f"if all it runs is its {kind}, pass model.{inner[0]}; else use input_gradient"
    if has_tokens(model):
        return "use flow.method gradcam, or input_gradient"
    convolutions = sum(isinstance(part, nn.Conv2d) for part in model.modules())
    if convolutions >= _CONVOLUTIONS and not _attends(model):
        return "use flow.method naflow or gradcam, which are made for convolutional networks"
    if hasattr(model, "forward_features"):
        return "use flow.method gradcam or input_gradient"
    return "use flow.method input_gradient, or the same model as timm builds it"


def _attends(model: nn.Module) -> bool:
    return any(
        isinstance(part, nn.MultiheadAttention) or hasattr(part, "fused_attn")
        for part in model.modules()
    )
