"""The calls of attention in a forward pass, intercepted where they happen.

Attention is computed by torch's ``scaled_dot_product_attention``, in ``nn.MultiheadAttention`` by
``multi_head_attention_forward``, or as a softmax that is multiplied by the values. These calls have
everything: queries and keys after their norms and rotations, values, bias and scale, and the
weighted sum of values. So they are intercepted, and no code of a model family is reimplemented.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pipeline.errors import UnsupportedModel

_MULTI_HEAD = inspect.signature(F.multi_head_attention_forward)
_UNSEEN = ("bias_k", "bias_v", "key_padding_mask", "static_k", "static_v")


_EXPLORING: ContextVar[bool] = ContextVar("exploring", default=False)


@contextmanager
def exploring() -> Iterator[None]:
    """Mark the passes within this context as made to learn about the model, not about images."""
    before = _EXPLORING.set(True)
    try:
        yield
    finally:
        _EXPLORING.reset(before)


def is_exploring() -> bool:
    """Return whether a pass is made to learn about the model; see :func:`exploring`."""
    return _EXPLORING.get()


@dataclass(frozen=True)
class Call:
    """One attention: B images, H heads, Q queries, N keys, d channels per head.

    ``query`` (B, H, Q, d), ``key`` and ``value`` (B, H, N, d), ``mask`` broadcastable to
    (B, H, Q, N) or None; the weights are softmax(scale · query · keyᵀ + mask). Where the model's
    own code takes the softmax, its result is ``weights`` (B, H, Q, N), which is also ``query``, and
    the values are also ``key``.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None = None
    scale: float = 1.0
    weights: Tensor | None = None


class AttentionCalls(TorchFunctionMode):
    """Within this context ``see`` gets every call of attention that ``watching`` lets through.

    ``images`` is the number of images of the batch, by which heads that are packed into the batch
    (B · H, N, d) are distinguished.
    """

    watching = True

    def __init__(self, images: int) -> None:
        super().__init__()
        self._images = images
        self._softmax: Tensor | None = None

    def see(self, call: Call, output: Tensor) -> Tensor:
        """Return the output (B, H, Q, d) of a call, as the model is to go on with."""
        raise NotImplementedError

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.watching and func is F.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        if self.watching and func is F.multi_head_attention_forward:
            return multi_head(self._attend, *args, **kwargs)
        if self.watching and self._softmax is not None:
            value = _multiplied(func, args, self._softmax)
            if value is not None:
                return self._multiply(self._softmax, value, func(*args, **kwargs))
        output = func(*args, **kwargs)
        if self.watching and getattr(func, "__name__", "") == "softmax":
            self._softmax = output
        return output

    def _attend(self, *args: Any, **kwargs: Any) -> Tensor:
        query, key, value, mask, scale = _arguments(*args, **kwargs)
        output = F.scaled_dot_product_attention(*args, **kwargs)
        packed = query.ndim == 3 and query.shape[0] % self._images == 0
        if not packed:
            return self.see(Call(query, key, value, mask, scale), output)
        if mask is not None and mask.ndim == 3:
            mask = mask[None] if len(mask) == 1 else self._heads(mask)
        call = Call(self._heads(query), self._heads(key), self._heads(value), mask, scale)
        return self.see(call, self._heads(output)).flatten(0, 1)

    def _multiply(self, weights: Tensor, value: Tensor, output: Tensor) -> Tensor:
        """See an attention whose softmax the model takes itself."""
        self._softmax = None
        if weights.ndim == 4:
            return self.see(Call(weights, value, value, weights=weights), output)
        if weights.ndim != 3 or len(weights) % self._images:
            return output
        weights, value = self._heads(weights), self._heads(value)
        call = Call(weights, value, value, weights=weights)
        return self.see(call, self._heads(output)).flatten(0, 1)

    def _heads(self, tensor: Tensor) -> Tensor:
        return tensor.view(self._images, -1, *tensor.shape[1:])


def _multiplied(func: Any, args: Any, weights: Tensor) -> Tensor | None:
    """Return the values (…, N, d) if a function is the product of the weights (…, Q, N) with them.

    An ``einsum`` is one if its equation is that of a product of matrices.
    """
    kind = str(getattr(func, "__name__", "")).strip("_")
    if kind == "einsum" and len(args) == 3:
        left, _, right = str(args[0]).replace(" ", "").partition("->")
        a, _, b = left.partition(",")
        if a[-1:] != b[-2:-1] or a[:-2] != b[:-2] or right != a[:-1] + b[-1:]:
            return None
        args = args[1:]
    elif kind not in ("matmul", "bmm") or len(args) != 2:
        return None
    if args[0] is not weights or not isinstance(args[1], Tensor):
        return None
    value = args[1]
    return value if value.ndim == weights.ndim and len(value) == len(weights) else None


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
            "the model's attention uses dropout, a causal mask or grouped queries; "
            "use a model with plain attention in evaluation mode"
        )
    return query, key, value, attn_mask, query.shape[-1] ** -0.5 if scale is None else scale


def multi_head(
    attend: Callable[..., Tensor], *args: Any, **kwargs: Any
) -> tuple[Tensor, Tensor | None]:
    """Compute ``F.multi_head_attention_forward`` with ``attend`` for its weighted sum of values.

    Raises
    ------
    UnsupportedModel
        It uses keys that are no tokens, or padding.
    """
    bound = _MULTI_HEAD.bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    if given["add_zero_attn"] or any(given[name] is not None for name in _UNSEEN):
        raise UnsupportedModel(
            "the model's nn.MultiheadAttention has keys of its own or padded ones (bias_kv, "
            "add_zero_attn, key_padding_mask), so its values are not those of tokens; "
            "use flow.method input_gradient or activation"
        )
    single = given["query"].ndim == 2
    heads = given["num_heads"]
    query, key, value = (
        # (N, B, H · d) → (B, H, N, d)
        tensor.view(len(tensor), -1, heads, tensor.shape[-1] // heads).permute(1, 2, 0, 3)
        for tensor in _projected(given)
    )
    mask = _mask(given["attn_mask"], query)
    dropout = given["dropout_p"] if given["training"] else 0.0
    attended = attend(query, key, value, attn_mask=mask, dropout_p=dropout)
    tokens = attended.permute(2, 0, 1, 3).flatten(2)
    output = F.linear(tokens, given["out_proj_weight"], given["out_proj_bias"])
    weights = _weights(query, key, mask, given["average_attn_weights"], given["need_weights"])
    if single:
        return output[:, 0], None if weights is None else weights[0]
    return output, weights


def _projected(given: dict[str, Any]) -> list[Tensor]:
    """Return queries, keys and values (N, B, E) or (N, E)."""
    if given["use_separate_proj_weight"]:
        weights = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = list(given["in_proj_weight"].chunk(3))
    bias = given["in_proj_bias"]
    biases = [None] * 3 if bias is None else list(bias.chunk(3))
    inputs = [given["query"], given["key"], given["value"]]
    return [F.linear(*parts) for parts in zip(inputs, weights, biases, strict=True)]


def _mask(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """Return a mask that is added; a boolean one of ``nn.MultiheadAttention`` hides where true."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill(mask, -torch.inf)
    return mask.view(len(query), -1, *mask.shape[1:]) if mask.ndim == 3 else mask


def _weights(
    query: Tensor, key: Tensor, mask: Tensor | None, averaged: bool, needed: bool
) -> Tensor | None:
    if not needed:
        return None
    scores = query @ key.mT * query.shape[-1] ** -0.5
    weights = (scores if mask is None else scores + mask).softmax(dim=-1)
    mean: Tensor = weights.mean(dim=1) if averaged else weights
    return mean
