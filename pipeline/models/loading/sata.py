"""SATA: spatial autocorrelation token analysis (arXiv 2409.19850), per image.

It changes a pre-trained vision transformer without training. In its last blocks, between attention
and MLP, tokens whose value correlates little with that of the tokens attending to them are merged
in pairs, so that the MLP sees fewer tokens. The published code mixes tokens of different images of
a batch; here images are independent of each other, and every token stays at its position.
"""

import copy
import math
from typing import Any

import torch
from timm.models.beit import Block as BeitBlock
from timm.models.eva import EvaBlock
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.coordinates import has_coordinates

_BLOCKS = (Block, EvaBlock, BeitBlock)


def sata(model: nn.Module, gamma: float = 0.7, alpha: float = 1.0) -> nn.Module:
    """Return a model that shares all weights with ``model`` but merges tokens in its last blocks.

    Parameters
    ----------
    model
        A timm vision transformer of plain, EVA or BEiT blocks; it is not modified.
    gamma
        Share [0, 1] of the blocks that stay unchanged: the last ⌈(1 − gamma)·L⌉ are changed.
    alpha
        Factor ≥ 0 on the width of the band of kept scores; infinity keeps every token.

    Raises
    ------
    ValueError
        An option is out of range.
    UnsupportedModel
        The model has other blocks.
    """
    if not 0 <= gamma <= 1 or not alpha >= 0:
        raise ValueError(f"gamma ({gamma}) must be in [0, 1] and alpha ({alpha}) at least 0")
    blocks: Any = getattr(model, "blocks", None)
    changed = math.ceil(round((1 - gamma) * len(blocks or ()), 9))
    known = isinstance(blocks, nn.Sequential | nn.ModuleList)
    if not known or not all(type(block) in _BLOCKS for block in blocks):
        raise UnsupportedModel(
            f"{type(model).__name__} has no plain transformer blocks of one resolution; use a "
            "model of timm's vit, deit, beit or eva families, or model.transform: null"
        )
    plain = len(blocks) - changed
    prefix = int(model.num_prefix_tokens)  # type: ignore[arg-type]
    last = [_SataBlock(block, prefix, alpha) for block in list(blocks)[plain:]]
    twin = _twin(model)
    twin.blocks = _twin(blocks)
    for index, block in enumerate(last, plain):
        twin.blocks[index] = block
    twin.train(model.training)
    changed_model: nn.Module = twin
    return changed_model


def _twin(module: nn.Module) -> Any:
    """Return a shallow copy of a module, which shares parameters, buffers and children with it."""
    twin = copy.copy(module)
    for name, value in vars(module).items():
        if isinstance(value, dict):  # parameters, children, hooks
            object.__setattr__(twin, name, copy.copy(value))
    return twin


class _SataBlock(nn.Module):
    """A pre-norm block whose MLP sees only the prefix, the kept and the merged tokens."""

    attn: nn.Module
    norm1: nn.Module
    norm2: nn.Module
    mlp: nn.Module
    gamma_1: Tensor | None
    gamma_2: Tensor | None

    def __init__(self, block: nn.Module, prefix: int, alpha: float) -> None:
        super().__init__()
        for name, child in block.named_children():
            self.add_module(name, child)
        for name in ("gamma_1", "gamma_2"):
            self.register_parameter(name, getattr(block, name, None))
        if getattr(self.attn, "fused_attn", True) is False:
            self.attn = _twin(self.attn)
            self.attn.fused_attn = True  # type: ignore[assignment]
        self._prefix, self._alpha = prefix, alpha

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        with _Watch() as watch:
            attended = self.attn(self.norm1(x), *args, **kwargs)
        x = x + self._scaled(attended, "ls1", self.gamma_1)
        with torch.no_grad():
            source, target = self._split(x.detach(), watch)
        merged = merge(x, source, target)
        active = ~source
        packed = merged[active][None]
        gain = self._scaled(self.mlp(self.norm2(packed)), "ls2", self.gamma_2)[0]
        return merged.index_put((active,), gain.to(merged.dtype), accumulate=True)

    def _scaled(self, branch: Tensor, name: str, gamma: Tensor | None) -> Tensor:
        scale = getattr(self, name, None)
        branch = branch if scale is None else scale(branch)
        return branch if gamma is None else gamma * branch

    def _split(self, x: Tensor, watch: "_Watch") -> tuple[Tensor, Tensor]:
        """Return which tokens (B, N) are merged, and the token (B, N) each is merged into."""
        if has_coordinates(
            x
        ):  # which tokens are merged depends on what they hold, where they are not
            everyone = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
            return torch.zeros_like(everyone, dtype=torch.bool), everyone
        exact = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            patches = x[:, self._prefix :].to(exact)
            value = standardised(patches.mean(dim=2))
            score = standardised(value * watch.received(value, self._prefix))
            source, target = pairs(patches, score, self._alpha)
        return F.pad(source, (self._prefix, 0)), F.pad(target + self._prefix, (self._prefix, 0))


class _Watch(TorchFunctionMode):
    """Keeps the arguments of the one ``scaled_dot_product_attention`` called within it."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: list[tuple[Tensor, Tensor, Tensor | None, float]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            self._note(*args, **kwargs)
        return func(*args, **kwargs)

    def _note(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **_: Any,
    ) -> None:
        if is_causal:
            raise UnsupportedModel("SATA needs attention in all directions; use another model")
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        self._seen.append((query.detach(), key.detach(), attn_mask, scale))

    def received(self, value: Tensor, prefix: int) -> Tensor:
        """Return Σ_j value_j·M[j, i] (B, n) with M the patches' head-mean attention.

        Only one head's attention is in memory at a time.
        """
        if len(self._seen) != 1:
            raise UnsupportedModel(
                f"a block attends {len(self._seen)} times by scaled_dot_product_attention, not "
                "once; use a model with plain blocks"
            )
        query, key, mask, scale = self._seen[0]
        heads, total = query.shape[1], torch.zeros_like(value)
        if mask is not None and mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=value.dtype).masked_fill(~mask, -math.inf)
        if mask is not None:
            mask = mask.to(value.dtype).expand(*query.shape[:3], key.shape[2])
        for head in range(heads):
            rows = query[:, head, prefix:].to(value.dtype) * scale
            scores = rows @ key[:, head].to(value.dtype).mT
            if mask is not None:
                scores = scores + mask[:, head, prefix:]
            paid = scores.softmax(dim=2)[:, :, prefix:]
            total += (value[:, None] @ paid)[:, 0]
        return total / heads


def standardised(values: Tensor) -> Tensor:
    """Return values (B, n) minus their mean, over their unbiased deviation; 0 where that is 0."""
    if values.shape[1] < 2:
        return torch.zeros_like(values)
    deviation = values.std(dim=1, keepdim=True)
    centred = values - values.mean(dim=1, keepdim=True)
    return torch.where(deviation > 0, centred / deviation, torch.zeros_like(values))


def pairs(patches: Tensor, score: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Return which patches (B, n) are merged, and the patch (B, n) that each is merged into.

    Kept are the scores s with |s − mean| ≤ alpha·|median| (of an even number the lower median).
    The mean of standardised scores is taken as exactly 0: the median itself lies on the border,
    where rounding would decide. The others, in ascending order of score, are alternately sources
    and targets; each source is merged into the most similar target (cosine of ``patches``
    (B, n, C)). If there is only one, it is kept.
    """
    images, size = score.shape
    band = (alpha * score.median(dim=1, keepdim=True).values.abs()).nan_to_num(nan=math.inf)
    # Written so that a NaN score is kept.
    rest = score.abs() > band
    rest &= rest.sum(dim=1, keepdim=True) > 1
    order = score.masked_fill(~rest, math.inf).argsort(dim=1, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(size, device=score.device).expand(images, -1)
    )
    source, into = rest & (rank % 2 == 0), rest & (rank % 2 == 1)
    unit = F.normalize(patches, dim=2)
    likeness = (unit @ unit.mT).masked_fill(~into[:, None], -math.inf)
    return source, likeness.argmax(dim=2)


def merge(x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Return tokens x (B, N, C) where each target is the mean of itself and its sources."""
    place = torch.where(source, target, torch.arange(x.shape[1], device=x.device))
    index = place[:, :, None].expand_as(x)
    sums = torch.zeros_like(x).scatter_add(1, index, x)
    counts = torch.zeros_like(x[:, :, 0]).scatter_add(1, place, torch.ones_like(x[:, :, 0]))
    return torch.where(source[:, :, None], x, sums / counts.clamp(min=1)[:, :, None])
