"""Inverses of the layers that have one in closed form.

Each is the smallest least-squares input of its layer, linearised at the actual input: what a
solver would find, without solving. Three are conventions. ReLU passes back what it gets (where
it was off, no importance goes through it, so nothing is left). An average pool spreads evenly,
also where windows overlap. A layer or group norm keeps the statistics that it met, as a batch
norm keeps its own; differentiating them too would lose the mean and the size of what entered.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.models.structure.segments import AFFINE, POINTWISE, RESHAPES, UNCHANGED, Segment
from pipeline.models.structure.tape import Op, replay

Pixels = int | tuple[int, int]

MIN_SLOPE = 0.1
"""Least damping of curved activations: where they are flat, their output says nothing."""

_IDENTITY = UNCHANGED | {"relu", "relu6", "hardtanh", "clamp"}
_NORMS = frozenset({"layer_norm", "group_norm"})
_KINKED = frozenset({"leaky_relu", "prelu"})
_AVERAGES = frozenset({"avg_pool2d", "adaptive_avg_pool2d"})


def closed(segment: Segment, x: Tensor, y: Tensor, damping: float) -> Tensor | None:
    """Return the input of a segment for a given output, or None if it has no closed inverse.

    Parameters
    ----------
    segment
        What to invert.
    x
        Its actual input, (B, …) float.
    y
        The output to invert, shaped as its target.
    damping
        ≥ 0, as for the solver.
    """
    op = segment.ops[-1]
    if len(segment.ops) == 1:
        if op.kind in _IDENTITY:
            return y
        if op.kind == "max_pool2d":
            return _unpool(op, x, y)
        if op.kind in _AVERAGES:
            return _spread(segment, x, y)
        if op.kind in RESHAPES:
            return _transposed(segment, x, y)
    kinds = {op.kind for op in segment.ops}
    if kinds <= POINTWISE and (len(segment.ops) == 1 or not kinds & _NORMS):
        return _along_slope(segment, x, y, damping)
    return None


def _transposed(segment: Segment, x: Tensor, y: Tensor) -> Tensor:
    """Return Jᵀ y: a permutation or padding undone, zeros for what a slice left out."""
    return _pull(segment, x)(y)


def _spread(segment: Segment, x: Tensor, y: Tensor) -> Tensor:
    """Assign each position the mean of the averages that include it, weighted by its share."""
    pull = _pull(segment, x)
    weight = pull(torch.ones_like(y))
    return torch.where(weight > 0, pull(y) / weight.clamp(min=1e-30), 0)


def _along_slope(segment: Segment, x: Tensor, y: Tensor, damping: float) -> Tensor:
    """Solve the diagonal system of an activation's slopes, or of a norm's scales."""
    op = segment.ops[0]
    curved = not {op.kind for op in segment.ops} <= AFFINE | _NORMS | _KINKED
    damping = max(damping, MIN_SLOPE) if curved else damping
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        (output,) = replay(segment.ops, segment.source, point, [segment.target])
        if op.kind in _NORMS:
            slope = _scale(op, x)
        else:
            (slope,) = torch.autograd.grad(output.sum(), point)
    wanted = y - output.detach() + slope * x
    square = slope.square() + damping**2
    return torch.where(square > 0, slope * wanted / square.clamp(min=1e-30), 0)


def _scale(op: Op, x: Tensor) -> Tensor:
    """Return the factor of a layer or group norm on each value, its statistics held fixed."""
    if op.kind == "layer_norm":
        shape, weight, eps = _layer_norm(*op.args[1:], **op.kwargs)
        axes = tuple(range(-len(shape), 0))
        scale = (x.var(axes, unbiased=False, keepdim=True) + eps).rsqrt().expand_as(x)
        return scale if weight is None else scale * weight.to(x.dtype)
    groups, weight, eps = _group_norm(*op.args[1:], **op.kwargs)
    parts = x.reshape(len(x), groups, -1)
    scale = (parts.var(-1, unbiased=False, keepdim=True) + eps).rsqrt()
    scale = scale.expand_as(parts).reshape(x.shape)
    channels = (-1,) + (1,) * (x.ndim - 2)
    return scale if weight is None else scale * weight.to(x.dtype).view(channels)


def _layer_norm(
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[Sequence[int], Tensor | None, float]:
    return normalized_shape, weight, eps


def _group_norm(
    num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> tuple[int, Tensor | None, float]:
    return num_groups, weight, eps


def _unpool(op: Op, x: Tensor, y: Tensor) -> Tensor:
    """Put each maximum where it came from; where windows share a position, their mean."""
    _, places = F.max_pool2d(x, *_window(*op.args[1:], **op.kwargs), return_indices=True)
    flat = places.flatten(2)
    empty = torch.zeros_like(x).flatten(2)
    total = empty.scatter_add(2, flat, y.flatten(2))
    count = empty.scatter_add(2, flat, torch.ones_like(y).flatten(2))
    return (total / count.clamp(min=1)).view_as(x)


def _window(
    kernel_size: Pixels,
    stride: Pixels | None = None,
    padding: Pixels = 0,
    dilation: Pixels = 1,
    ceil_mode: bool = False,
    **others: bool,
) -> tuple[Pixels, Pixels | None, Pixels, Pixels, bool]:
    return kernel_size, stride, padding, dilation, ceil_mode


def _pull(segment: Segment, x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return u ↦ Jᵀ u of a segment at its input."""
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        (output,) = replay(segment.ops, segment.source, point, [segment.target])

    def pull(u: Tensor) -> Tensor:
        (back,) = torch.autograd.grad(output, point, u, retain_graph=True)
        return back

    return pull
