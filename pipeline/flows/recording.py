"""The attention of every layer, recorded where it is computed.

See :mod:`pipeline.models.structure.attention_calls`.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.flows.products import accumulates, per_head
from pipeline.models import Anatomy, Layer
from pipeline.models.sharing import of_this_thread
from pipeline.models.structure.anatomy import Rows
from pipeline.models.structure.attention_calls import AttentionCalls, Call
from pipeline.nouns import counted

SLAB = 2**23  # elements of attention in memory at a time on a CPU: 32 MiB of float32


def slab(device: torch.device) -> int:
    """Return how many elements of attention may be in memory at a time; more on GPUs."""
    return SLAB if device.type == "cpu" else 8 * SLAB


@dataclass(frozen=True)
class Attention:
    """One layer's attention of a batch: B images, H heads, Q queries, N keys, d channels per head.

    ``query`` (B, H, Q, d), ``key`` and ``value`` (B, H, N, d) without gradients; ``mask``
    broadcastable to (B, H, Q, N) or None; ``output`` (B, H, Q, d) is Σ_j a[q, j]·value[j], a node
    of the graph. Where the model takes the softmax itself, a is ``weights`` (B, H, Q, N).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scale: float
    output: Tensor
    weights: Tensor | None = None

    def rows(self, tokens: Rows) -> Tensor:
        """Return the attention weights of R of the queries, (B, H, R, N).

        The softmax is taken in float32, or float64 where the model computes in it.
        """
        exact = torch.promote_types(self.query.dtype, torch.float32)
        if self.weights is not None:
            return self.weights[:, :, tokens].to(exact)
        query = self.query[:, :, tokens]
        if accumulates(self.key) and query.dtype == self.key.dtype:
            scores = per_head(query, self.key) * self.scale
        elif query.shape[2] == 1:
            # Keys on the left: transposing one query copies less than transposing the keys.
            query = query.to(exact) * self.scale
            scores = (self.key.to(exact) @ query.transpose(-2, -1)).transpose(-2, -1)
        else:
            scores = (query.to(exact) * self.scale) @ self.key.to(exact).transpose(-2, -1)
        if self.mask is None:
            return scores.softmax(dim=-1)
        mask = self.mask if self.mask.shape[-2] == 1 else self.mask[..., tokens, :]
        if mask.dtype == torch.bool:
            return scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
        return (scores + mask.to(exact)).softmax(dim=-1)

    def of(self, images: slice) -> "Attention":
        """Return the attention of some images only."""
        mask = self.mask
        if mask is not None and mask.ndim == 4 and len(mask) == len(self.query):
            mask = mask[images]
        query, key, value = self.query[images], self.key[images], self.value[images]
        weights = None if self.weights is None else self.weights[images]
        output = self.output.detach()[images]
        return Attention(query, key, value, mask, self.scale, output, weights)

    def slabs(self, tokens: Rows, size: int | None = None) -> Iterator[tuple[Rows, Tensor]]:
        """Yield the attention weights of some queries, a few at a time: which, and (B, H, r, N).

        A slab has at most ``size`` elements (see :func:`slab`), or one query.
        """
        images, heads, queries, _ = self.query.shape
        step = max(1, (size or slab(self.key.device)) // max(1, images * heads * self.key.shape[2]))
        if isinstance(tokens, list):
            for start in range(0, len(tokens), step):
                yield tokens[start : start + step], self.rows(tokens[start : start + step])
            return
        first, last, _ = tokens.indices(queries)
        for start in range(first, last, step):
            part = slice(start, min(start + step, last))
            yield part, self.rows(part)


@dataclass(frozen=True)
class Recording:
    """A forward pass: its ``result``, the attention of every layer, the last block's ``tokens``.

    ``tokens`` (B, N, C) may begin with prefix tokens, and is None where no block puts them out;
    ``grid`` is rows and columns of patches. ``result`` is what the model returned.
    """

    result: Any
    attentions: tuple[Attention, ...]
    tokens: Tensor | None
    grid: tuple[int, int]


def record(
    anatomy: Anatomy,
    forward: Callable[[Tensor], Any],
    images: Tensor,
    verify: bool,
    graph: bool = True,
    every_row: bool = False,
) -> Recording:
    """Run ``forward`` on images (B, 3, H, W) and record the attention of every layer.

    The graph starts at the first layer's attention output: nothing before it is differentiated,
    and nothing at all without ``graph``. Passes under ``torch.no_grad`` within ``forward`` are not
    recorded.
    With ``verify`` the readout rows (with ``every_row`` all rows) are recomputed and, multiplied by
    the values, must give the output of the model's own attention; and every output projection that
    receives the attention directly must receive exactly that.

    Raises
    ------
    UnsupportedModel
        A layer did not attend exactly once, to all tokens, by a plain weighted sum of values.
    """
    recorder = _Recorder(anatomy, len(images), graph)
    with ExitStack() as hooks:
        for layer in anatomy.layers:
            enter, leave = of_this_thread(recorder.enter), of_this_thread(recorder.leave)
            hooks.callback(layer.block.register_forward_pre_hook(enter).remove)
            hooks.callback(layer.block.register_forward_hook(leave).remove)
            if verify and layer.direct:
                projection = layer.attention.get_submodule("proj")
                compare = of_this_thread(recorder.compare)
                hooks.callback(projection.register_forward_pre_hook(compare).remove)
        if anatomy.last is not None:
            keep_tokens = of_this_thread(recorder.keep_tokens)
            hooks.callback(anatomy.last.register_forward_hook(keep_tokens).remove)
        with recorder:
            result = forward(images)
    grid = anatomy.grid(*images.shape[-2:])
    tokens = recorder.tokens
    if len(recorder.attentions) != len(anatomy.layers) or (anatomy.last and tokens is None):
        raise UnsupportedModel(
            f"{anatomy.name} ran {len(recorder.attentions)} of its "
            f"{counted(len(anatomy.layers), 'layer')}; "
            "use a model that runs every block once"
        )
    for layer, attention in zip(anatomy.layers, recorder.attentions, strict=True):
        check_tokens(anatomy.name, layer, attention, grid)
        if verify:
            rows = slice(0, None) if every_row else layer.rows
            check_sum(anatomy.name, layer.name, attention, rows)
    tokens = None if tokens is None else tokens.detach()
    return Recording(result, tuple(recorder.attentions), tokens, grid)


def check_tokens(name: str, layer: Layer, attention: Attention, grid: tuple[int, int]) -> None:
    """Refuse an attention whose keys are not all patches of the image."""
    if attention.key.shape[2] != layer.prefix + grid[0] * grid[1]:
        raise UnsupportedModel(
            f"{name} attends to {counted(attention.key.shape[2], 'token')} in {layer.name} "
            "where its image "
            f"has {grid[0]} × {grid[1]} patches, so its keys are not the patches (windows, "
            "pooled or merged tokens); use flow.method input_gradient or activation"
        )


def check_sum(name: str, layer: str, attention: Attention, rows: Rows) -> None:
    """Refuse rows whose weighted values are not the output of the model's attention."""
    kept = attention.output.detach()
    value = attention.value.to(torch.promote_types(kept.dtype, torch.float32))
    tolerance = max(1e-4, 4 * torch.finfo(kept.dtype).eps) * value.abs().amax(dim=(1, 2, 3))
    with torch.no_grad(), torch.autocast(kept.device.type, enabled=False):
        for part, paid in attention.slabs(rows):
            difference = (paid @ value - kept[:, :, part]).abs().amax(dim=(1, 2, 3))
            if (difference > tolerance).any():  # False where values are not finite
                raise UnsupportedModel(
                    f"{name} weights its values in {layer} differently from the softmax of its "
                    "queries and keys; use flow.method input_gradient or activation"
                )


class _Recorder(AttentionCalls):
    """Keeps the calls of attention; hooks track whether a layer is running."""

    def __init__(self, anatomy: Anatomy, images: int, graph: bool) -> None:
        super().__init__(images)
        self._anatomy = anatomy
        self._graph = graph
        self.attentions: list[Attention] = []
        self.tokens: Tensor | None = None
        self._calls: int | None = None  # of the running layer

    @property
    def watching(self) -> bool:  # type: ignore[override]
        return self._calls is not None

    def see(self, call: Call, output: Tensor) -> Tensor:
        self._calls = (self._calls or 0) + 1
        if self._graph and not self.attentions:
            output = output.detach().requires_grad_()
        query, key, value = call.query.detach(), call.key.detach(), call.value.detach()
        weights = None if call.weights is None else call.weights.detach()
        self.attentions.append(Attention(query, key, value, call.mask, call.scale, output, weights))
        return output

    def enter(self, block: nn.Module, inputs: Any) -> None:
        if torch.is_grad_enabled():
            self._calls = 0

    def leave(self, block: nn.Module, inputs: Any, output: Any) -> None:
        if self._calls is None:
            return
        if self._calls != 1:
            raise UnsupportedModel(
                f"a block of the model calls scaled_dot_product_attention {self._calls} times "
                "instead of once; use flow.method input_gradient or activation"
            )
        self._calls = None

    def keep_tokens(self, block: nn.Module, inputs: Any, output: Any) -> None:
        self.tokens = self._anatomy.tokens_of(output)

    def compare(self, projection: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self._calls == 1:
            values = self.attentions[-1].output.transpose(1, 2)
            if not torch.equal(
                inputs[0].nan_to_num(), values.reshape(inputs[0].shape).nan_to_num()
            ):
                raise UnsupportedModel(
                    "the model changes the attention's output before its projection, so it is not "
                    "a weighted sum of values; use flow.method input_gradient or activation"
                )
