"""The time in which a method may touch a model: parameters frozen, then as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Take the gradients away from every parameter and give them back at the end.

    Raises
    ------
    ValueError
        The model is in training mode: dropout would make its maps random.
    """
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() first")
    wanting = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in wanting:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)


@contextmanager
def fused(model: nn.Module) -> Iterator[None]:
    """Switch every timm attention to ``scaled_dot_product_attention`` and back at the end."""
    manual = [module for module in model.modules() if getattr(module, "fused_attn", None) is False]
    try:
        for module in manual:
            module.fused_attn = True  # type: ignore[assignment]
        yield
    finally:
        for module in manual:
            module.fused_attn = False  # type: ignore[assignment]
