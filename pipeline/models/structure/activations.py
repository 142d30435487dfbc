"""The last activations of a model with positions on the image, and their embedding."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models.sharing import of_this_thread
from pipeline.models.structure.anatomy import feature_size
from pipeline.models.structure.embedding import Kind, channels_last, pooled, through_head


@dataclass(frozen=True)
class LastActivations:
    """``maps`` (B, C, h, w) of a batch, the ``embedding`` (B, D), and its gradient.

    ``layer`` is where they are: ``features``, after everything but the head, or the block that
    reads them.

    ``pull_back(weights)`` (B, D) → (B, C, h, w) is h·w times the gradient of ⟨embedding, weights⟩
    with respect to the maps. Where the embedding is their mean that is the weights themselves,
    everywhere; through a norm, a projector or a last attention it is one VJP.
    """

    maps: Tensor
    embedding: Tensor
    pull_back: Callable[[Tensor], Tensor]
    layer: str = "features"


def last_activations(model: nn.Module, images: Tensor, kind: Kind = "model") -> LastActivations:
    """Run a model on images (B, 3, H, W); the graph starts at its last activations.

    These are the last feature map, or the last patch tokens that are read for the embedding: of a
    model that reads a class token, the patch tokens that its last attention reads. Parameters
    must be frozen.

    Raises
    ------
    UnsupportedModel
        The positions of the model's last activations on the image are unknown.
    """
    if not hasattr(model, "forward_features"):
        raise UnsupportedModel(
            f"{type(model).__name__} has no forward_features, so its last activations are not "
            "known; use a timm model"
        )
    token = getattr(model, "global_pool", None) == "token"
    if kind == "model" and token and hasattr(model, "num_prefix_tokens"):
        return _last_attention(model, images)
    with torch.no_grad():
        features = model.forward_features(images)  # type: ignore[operator]
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise _no_grid(model)
    if kind == "pooled":
        embedding, leaf = pooled(model, features), features
    else:
        leaf = features.detach().requires_grad_()
        with torch.enable_grad():
            embedding = through_head(model, leaf, pre_logits=True)
    spread = _spreader(model, features, images)
    if kind == "pooled":
        maps = spread(leaf)
        return LastActivations(
            maps, embedding, lambda w: w[:, :, None, None].to(maps.device).expand_as(maps)
        )
    return _differentiable(leaf, embedding, spread)


def _last_attention(model: nn.Module, images: Tensor) -> LastActivations:
    """Return the tokens that the last attention reads: after it only the class token is read.

    They are taken after that block's norm. Before it the gradient is orthogonal to each token,
    because the norm ignores its length.
    """
    for name in ("blocks_token_only", "cls_attn_blocks", "blocks"):
        blocks: Any = getattr(model, name, None)
        if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks):
            break
    else:
        raise _no_grid(model)
    attention, leaves = getattr(blocks[-1], "attn", None), list[Tensor]()
    if not isinstance(attention, nn.Module):
        raise _no_grid(model)

    def read(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        leaves.append(inputs[0].detach().requires_grad_())
        return (leaves[0], *inputs[1:])

    hook = attention.register_forward_pre_hook(of_this_thread(read))
    try:
        with torch.enable_grad():
            features = model.forward_features(images)  # type: ignore[operator]
            embedding = through_head(model, features, pre_logits=True)
    finally:
        hook.remove()
    if len(leaves) != 1 or leaves[0].ndim != 3:
        raise _no_grid(model)
    found = _differentiable(leaves[0], embedding, _spreader(model, leaves[0], images))
    return replace(found, layer=f"{name}.{len(blocks) - 1}")


def _differentiable(
    leaf: Tensor, embedding: Tensor, spread: Callable[[Tensor], Tensor]
) -> LastActivations:
    maps = spread(leaf.detach())

    def pull_back(weights: Tensor) -> Tensor:
        exact = torch.promote_types(embedding.dtype, torch.float32)
        with torch.enable_grad():
            score = (embedding.to(exact) * weights.to(embedding.device)).sum()
        (gradient,) = torch.autograd.grad(score, leaf)
        return spread(gradient) * (maps.shape[2] * maps.shape[3])

    return LastActivations(maps, embedding.detach(), pull_back)


def _spreader(model: nn.Module, features: Tensor, images: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the function that arranges tensors shaped like ``features`` as (B, C, h, w)."""
    if features.ndim == 4:
        if channels_last(model):
            return lambda tensor: tensor.permute(0, 3, 1, 2)
        return lambda tensor: tensor
    height, width = images.shape[-2:]
    rows, columns = map(int, feature_size(model, type(model).__name__)((height, width)))
    prefix = features.shape[1] - rows * columns
    if prefix not in (0, int(getattr(model, "num_prefix_tokens", 0))):
        raise _no_grid(model)
    return lambda tensor: tensor[:, prefix:].mT.reshape(len(tensor), -1, rows, columns)


def _no_grid(model: nn.Module) -> UnsupportedModel:
    return UnsupportedModel(
        f"the last activations of {type(model).__name__} have no known positions on the image; "
        "use a convolutional network or a vision transformer of one resolution"
    )
