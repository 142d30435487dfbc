"""The structure of a vision transformer: layers, tokens, grid and readout.

A model *reads* its class from a class token, from the mean (or maximum) of its patches, from an
attention pool with a latent query, or from a class token that only its last layers have (class
attention). In each case, the attention rows (queries) that it reads from are its readout rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from timm.layers import AttentionPoolLatent, DiffAttention
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.alternatives import instead

Readout = Literal["token", "patches", "pool", "class attention"]

Rows = slice | list[int]
"""Rows of an attention matrix, by the numbers of their tokens."""

_ELSEWHERE = "use flow.method input_gradient or activation"


def _itself(output: Any) -> Any:
    return output


@dataclass(frozen=True)
class Layer:
    """One attention on the path to the readout.

    ``block`` is the module that holds it and runs once; ``attention`` has the output projection
    ``proj``. ``rows`` are the queries that are read, ``prefix`` the keys before the patches.
    ``direct``: the projection receives the weighted sum of values itself, neither normalised nor
    gated.
    """

    name: str
    block: nn.Module
    attention: nn.Module
    rows: Rows
    prefix: int
    direct: bool


@dataclass(frozen=True)
class Anatomy:
    """The layers of a vision transformer in order of depth, and what it reads.

    ``last`` is the last block of all tokens, None if it is no module; ``tokens_of`` takes the
    tokens (B, N, C) out of its output. ``num_prefix_tokens`` of them (class, distillation,
    registers) come before the patches. ``num_classes`` is 0 without a head.
    """

    name: str
    layers: tuple[Layer, ...]
    readout: Readout
    last: nn.Module | None
    num_prefix_tokens: int
    num_classes: int
    feature_size: Callable[[tuple[int, int]], tuple[int, int]]
    tokens_of: Callable[[Any], Tensor] = _itself

    @property
    def names(self) -> tuple[str, ...]:
        """The layers' names: ``blocks.0`` …, perhaps ``attn_pool`` at the end."""
        return tuple(layer.name for layer in self.layers)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of patches of an image of ``height`` × ``width`` pixels."""
        rows, columns = self.feature_size((height, width))
        return int(rows), int(columns)


def anatomy(model: nn.Module) -> Anatomy:
    """Read the anatomy of a timm vision transformer.

    Covers plain, distilled, register, rotary, relative-position, gated and sub-normalised
    transformers that read a token or their patches' mean; attention pools (SigLIP), whose last
    layer ``attn_pool`` is the pool itself; and class attention (CaiT, XCiT), whose layers are the
    class-attention blocks only: nothing in their other blocks (talking heads, cross-covariance)
    is an attention from the readout to the patches.

    Raises
    ------
    UnsupportedModel
        The model is not a transformer of one resolution, reads its class in another way, or has an
        attention whose output is not a weighted sum of values. The message names an alternative.
    """
    name = _name(model)
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.Sequential | nn.ModuleList) or not hasattr(
        model, "num_prefix_tokens"
    ):
        raise UnsupportedModel(
            f"{name} is not a vision transformer of one resolution, so no attention leads from "
            f"what it reads to every patch; {instead(model)}"
        )
    if getattr(model, "grad_checkpointing", False):
        raise UnsupportedModel(
            f"{name} recomputes its blocks in the backward pass; "
            "call model.set_grad_checkpointing(False)"
        )
    grid_of = feature_size(model, name)
    for attribute in ("blocks_token_only", "cls_attn_blocks"):
        if getattr(model, attribute, None) is not None:
            layers, readout, prefix = _class_attention(model, attribute, name)
            break
    else:
        layers, readout, prefix = _self_attention(model, name)
    return Anatomy(
        name=name,
        layers=layers,
        readout=readout,
        last=blocks[-1],
        num_prefix_tokens=prefix,
        num_classes=int(getattr(model, "num_classes", 0)),
        feature_size=grid_of,
    )


def _class_attention(
    model: nn.Module, attribute: str, name: str
) -> tuple[tuple[Layer, ...], Readout, int]:
    """Return the class-attention blocks; the blocks before them hold patches only."""
    if (pool := getattr(model, "global_pool", None)) != "token":
        raise UnsupportedModel(
            f"{name} has class attention but pools its tokens ({pool or 'not at all'}), so its "
            f"class attention explains nothing; {_ELSEWHERE}"
        )
    layers = tuple(
        _layer(f"{attribute}.{index}", block, name, slice(0, 1), 1)
        for index, block in enumerate(getattr(model, attribute))
    )
    return layers, "class attention", 0


def _self_attention(model: nn.Module, name: str) -> tuple[tuple[Layer, ...], Readout, int]:
    """Return the blocks of all tokens, and the attention pool after them if there is one."""
    prefix = int(model.num_prefix_tokens)  # type: ignore[arg-type]
    pool = getattr(model, "attn_pool", None)
    # Models without this attribute pass all their tokens to the pool.
    pooled = prefix if getattr(model, "pool_include_prefix", pool is not None) else 0
    rows, readout = _rows(model, name, prefix, pooled)
    layers = [
        _layer(f"blocks.{index}", block, name, rows, prefix)
        for index, block in enumerate(model.blocks)  # type: ignore[arg-type]
    ]
    if pool is not None:
        latents = slice(0, 1) if pool.pool == "token" else slice(0, None)
        layers.append(Layer("attn_pool", pool, pool, latents, pooled, direct=True))
    return tuple(layers), readout, prefix


def _rows(model: nn.Module, name: str, prefix: int, pooled: int) -> tuple[slice, Readout]:
    """Return the tokens that the classifier (or the pool before it) reads."""
    pool = getattr(model, "attn_pool", None)
    if pool is not None:
        if not isinstance(pool, AttentionPoolLatent):
            raise UnsupportedModel(
                f"{name} pools its tokens with {type(pool).__name__}, which has no latent query; "
                f"{_ELSEWHERE}"
            )
        return slice(prefix - pooled, None), "pool"
    if getattr(model, "head_dist", None) is not None:
        return slice(0, 2), "token"  # in evaluation the logits are the mean of both heads
    kind = getattr(model, "global_pool", None)
    if kind == "token" and getattr(model, "cls_token", None) is not None:
        return slice(0, 1), "token"
    if kind in ("avg", "avgmax", "max"):
        return slice(prefix - pooled, None), "patches"
    raise UnsupportedModel(
        f"{name} reads neither a class token nor its pooled patches (global_pool: "
        f"{kind or 'none'}); give model.options a global_pool, token or avg"
    )


def _layer(name: str, block: nn.Module, model: str, rows: slice, prefix: int) -> Layer:
    """Return a block's layer if its attention's output is a weighted sum of values."""
    attention = getattr(block, "attn", None)
    if (
        not isinstance(attention, nn.Module)
        or not hasattr(attention, "fused_attn")
        or not isinstance(getattr(attention, "proj", None), nn.Module)
    ):
        raise UnsupportedModel(
            f"{model} has no single attention with an output projection in every block "
            f"(parallel or other attention); {_ELSEWHERE}, or a model of the vit, deit, beit or "
            "eva families"
        )
    if isinstance(attention, DiffAttention):
        raise UnsupportedModel(
            f"{model} subtracts two attentions, so its values have no single weight; "
            f"{_ELSEWHERE}, or a model with plain attention (attn_layer: attn)"
        )
    plain = isinstance(getattr(attention, "norm", None), nn.Identity | None)
    gated = getattr(attention, "gate", None) is not None
    return Layer(name, block, attention, rows, prefix, direct=plain and not gated)


def feature_size(model: nn.Module, name: str) -> Callable[[tuple[int, int]], tuple[int, int]]:
    """Return the function from an image's size in pixels to its grid of patches."""
    embed = getattr(model, "patch_embed", None)
    if isinstance(embed, nn.Module) and hasattr(embed, "dynamic_feat_size"):
        return embed.dynamic_feat_size  # type: ignore[return-value]
    if isinstance(embed, nn.Module) and isinstance(getattr(embed, "patch_size", None), int):
        side = int(embed.patch_size)  # type: ignore[arg-type]
        # Strided convolutions with padding, as in XCiT: every halving rounds up.
        return lambda size: (-(-size[0] // side), -(-size[1] // side))
    raise UnsupportedModel(
        f"{name} does not say how its patches lie on the image; "
        f"{_ELSEWHERE}, or a model with a patch embedding of timm"
    )


def _name(model: nn.Module) -> str:
    config = getattr(model, "pretrained_cfg", None) or {}
    return str(config.get("architecture") or type(model).__name__)
