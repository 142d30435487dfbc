"""What a method must know of a vision transformer: blocks, tokens, grid and readout."""

from dataclasses import dataclass

from timm.layers import DiffAttention
from torch import nn

from pipeline.errors import UnsupportedModel


@dataclass(frozen=True)
class Anatomy:
    """The parts of a vision transformer that classifies from tokens of its own.

    ``blocks`` are the modules in order of depth and ``layers`` their names, ``blocks.0`` …;
    ``attentions`` are their attention modules, each with a projection ``proj``. The first
    ``num_prefix_tokens`` tokens (class, distillation, registers) are no patches; ``readout``
    are those of them that the classifier reads.
    """

    blocks: tuple[nn.Module, ...]
    layers: tuple[str, ...]
    attentions: tuple[nn.Module, ...]
    patch_embed: nn.Module
    num_prefix_tokens: int
    readout: tuple[int, ...]
    num_classes: int

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of patches of an image of ``height`` × ``width`` pixels."""
        rows, columns = self.patch_embed.dynamic_feat_size((height, width))  # type: ignore[operator]
        return int(rows), int(columns)


def anatomy(model: nn.Module) -> Anatomy:
    """Read the anatomy of a timm vision transformer with a token readout.

    Covers plain, distilled, register, rotary, relative-position and gated transformers.

    Raises
    ------
    UnsupportedModel
        The model is no transformer of one resolution, reads its class from something other than
        a token, has no head, or has an attention whose output is not a weighted sum of values.
    """
    name = _name(model)
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.Sequential | nn.ModuleList) or not hasattr(
        model, "num_prefix_tokens"
    ):
        raise UnsupportedModel(
            f"{name} is not a vision transformer of one resolution; "
            "use a model that has a class token, such as vit, deit or beit"
        )
    if getattr(model, "grad_checkpointing", False):
        raise UnsupportedModel(
            f"{name} recomputes its blocks in the backward pass; "
            "call model.set_grad_checkpointing(False)"
        )
    readout = _readout(model, name)
    patch_embed = getattr(model, "patch_embed", None)
    if not isinstance(patch_embed, nn.Module) or not hasattr(patch_embed, "dynamic_feat_size"):
        raise UnsupportedModel(
            f"{name} does not say how its patches lie on the image; "
            "use a model with a patch embedding of timm"
        )
    return Anatomy(
        blocks=tuple(blocks),
        layers=tuple(f"blocks.{index}" for index in range(len(blocks))),
        attentions=tuple(_attention(block, name) for block in blocks),
        patch_embed=patch_embed,
        num_prefix_tokens=int(model.num_prefix_tokens),  # type: ignore[arg-type]
        readout=readout,
        num_classes=int(model.num_classes),  # type: ignore[arg-type]
    )


def _readout(model: nn.Module, name: str) -> tuple[int, ...]:
    """Return the tokens that the classifier reads."""
    if getattr(model, "num_classes", 0) < 1:
        raise UnsupportedModel(
            f"{name} has no classifier, so it has no logit to explain; load weights with a head"
        )
    if getattr(model, "head_dist", None) is not None:
        return (0, 1)  # in evaluation the logits are the mean of both heads
    if getattr(model, "cls_token", None) is None:
        raise UnsupportedModel(
            f"{name} has no class token; use a model that has one, such as vit, deit or beit"
        )
    pool = getattr(model, "global_pool", None)
    if pool != "token":
        raise UnsupportedModel(
            f"{name} pools its tokens ({pool or 'not at all'}) instead of reading its class token; "
            "use weights trained with model.options: {global_pool: token}"
        )
    return (0,)


def _attention(block: nn.Module, name: str) -> nn.Module:
    """Return a block's attention if its output is a weighted sum of values."""
    attention = getattr(block, "attn", None)
    if (
        not isinstance(attention, nn.Module)
        or not hasattr(attention, "fused_attn")
        or not isinstance(getattr(attention, "proj", None), nn.Module)
    ):
        raise UnsupportedModel(
            f"{name} has no plain attention with an output projection in every block; "
            "use a model of timm's vit, deit, beit or eva families"
        )
    if isinstance(attention, DiffAttention):
        raise UnsupportedModel(
            f"{name} subtracts two attentions, so its values have no single weight; "
            "use a model with plain attention (attn_layer: attn)"
        )
    if not isinstance(getattr(attention, "norm", nn.Identity()), nn.Identity):
        raise UnsupportedModel(
            f"{name} normalises the attention's output before its projection, so it is no "
            "weighted sum of values; use a model without that norm (scale_attn_norm: false)"
        )
    return attention


def _name(model: nn.Module) -> str:
    config = getattr(model, "pretrained_cfg", None) or {}
    return str(config.get("architecture") or type(model).__name__)
