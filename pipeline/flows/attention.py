"""The attention of every block, seen where it happens.

Inside a block the call of ``scaled_dot_product_attention`` has everything: queries and keys after
their norms and rotations, values, bias and scale, and its result is the weighted sum of values.
So that call is intercepted, and nothing of a model family's own code has to be repeated.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pipeline.errors import UnsupportedModel
from pipeline.models import Anatomy


@dataclass(frozen=True)
class Attention:
    """One block's attention of a batch: B images, H heads, N tokens, d channels per head.

    ``query``, ``key``, ``value`` (B, H, N, d) without gradients; ``mask`` broadcastable to
    (B, H, N, N) or None; ``output`` (B, H, N, d) is Σ_j a[n, j]·value[j], a node of the graph.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scale: float
    output: Tensor

    def rows(self, tokens: Sequence[int]) -> Tensor:
        """Return the attention paid by some tokens (R of them), float32 (B, H, R, N)."""
        query = self.query[:, :, list(tokens)].float() * self.scale
        # Keys on the left: transposing the few queries copies less than transposing the keys.
        scores = (self.key.float() @ query.transpose(-2, -1)).transpose(-2, -1)
        if self.mask is None:
            return scores.softmax(dim=-1)
        mask = self.mask if self.mask.shape[-2] == 1 else self.mask[..., list(tokens), :]
        if mask.dtype == torch.bool:
            return scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
        return (scores + mask.float()).softmax(dim=-1)


@dataclass(frozen=True)
class Recording:
    """A forward pass: its ``logits``, the attention of every block, the last block's ``tokens``."""

    logits: Tensor
    attentions: tuple[Attention, ...]
    tokens: Tensor


def record(anatomy: Anatomy, forward: Callable[[], Tensor], verify: bool) -> Recording:
    """Run ``forward`` and record the attention of every block on its way.

    The graph starts at the first block's attention output: nothing before it is differentiated.
    With ``verify`` every output projection is checked to see the weighted sum of values itself
    (or, where the attention has a positive gate, that sum gated).

    Raises
    ------
    UnsupportedModel
        A block did not attend exactly once, or not by a plain weighted sum of values.
    """
    recorder = _Recorder()
    with ExitStack() as hooks:
        for block, attention in zip(anatomy.blocks, anatomy.attentions, strict=True):
            hooks.callback(block.register_forward_pre_hook(recorder.enter_block).remove)
            hooks.callback(block.register_forward_hook(recorder.leave_block).remove)
            if verify and getattr(attention, "gate", None) is None:
                projection = attention.get_submodule("proj")
                hooks.callback(projection.register_forward_pre_hook(recorder.verify).remove)
        with recorder:
            logits = forward()
    if len(recorder.attentions) != len(anatomy.blocks) or recorder.tokens is None:
        raise UnsupportedModel(
            f"the model ran {len(recorder.attentions)} of its {len(anatomy.blocks)} blocks; "
            "use a model that runs every block once"
        )
    return Recording(logits, tuple(recorder.attentions), recorder.tokens.detach())


class _Recorder(TorchFunctionMode):
    """Intercepts the attention's call; knows through hooks whether a block is running."""

    def __init__(self) -> None:
        super().__init__()
        self.attentions: list[Attention] = []
        self.tokens: Tensor | None = None
        self._calls: int | None = None  # of the running block

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if func is not F.scaled_dot_product_attention or self._calls is None:
            return output
        self._calls += 1
        query, key, value, mask, scale = _arguments(*args, **kwargs)
        if not self.attentions:
            output = output.detach().requires_grad_()
        self.attentions.append(
            Attention(query.detach(), key.detach(), value.detach(), mask, scale, output)
        )
        return output

    def enter_block(self, block: nn.Module, inputs: Any) -> None:
        self._calls = 0

    def leave_block(self, block: nn.Module, inputs: Any, output: Tensor) -> None:
        if self._calls != 1:
            raise UnsupportedModel(
                f"a block of the model calls scaled_dot_product_attention {self._calls} times "
                "instead of once; use a model with plain blocks"
            )
        self._calls, self.tokens = None, output

    def verify(self, projection: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self._calls == 1:
            values = self.attentions[-1].output.transpose(1, 2)
            if not torch.equal(inputs[0], values.reshape(inputs[0].shape)):
                raise UnsupportedModel(
                    "the model changes the attention's output before its projection, so it is no "
                    "weighted sum of values; use a model with plain attention"
                )


def _arguments(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, float]:
    """Return query, key, value, mask and scale of one call of the attention."""
    if dropout_p or is_causal or enable_gqa:
        raise UnsupportedModel(
            "the model's attention drops, hides or shares keys; "
            "use a model with plain attention in evaluation mode"
        )
    return query, key, value, attn_mask, query.shape[-1] ** -0.5 if scale is None else scale
