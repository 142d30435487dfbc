"""The segments of a forward pass: the operations between two values on every path."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.models.structure.tape import Op

UNCHANGED = frozenset({"dropout", "dropout2d", "float", "to", "type", "contiguous", "clone"})
"""Operations that leave every value as it is, in evaluation mode."""

_SCALING = frozenset({"add", "sub", "rsub", "mul", "div", "truediv", "batch_norm"})
_CURVES = (
    "relu relu6 hardtanh clamp leaky_relu prelu elu celu selu silu gelu mish softplus sigmoid "
    "hardsigmoid hardswish tanh layer_norm group_norm"
)
_MOVES = (
    "permute transpose reshape view flatten unflatten squeeze unsqueeze getitem pad "
    "channel_shuffle pixel_shuffle pixel_unshuffle roll flip movedim swapaxes"
)
_MIXES = "conv2d linear cat avg_pool2d adaptive_avg_pool2d mean"

POINTWISE = UNCHANGED | _SCALING | frozenset(_CURVES.split())
"""Operations on each position independently: they belong to the layer that precedes them."""

RESHAPES = frozenset(_MOVES.split())
"""Operations that only move values."""

AFFINE = UNCHANGED | _SCALING | RESHAPES | frozenset(_MIXES.split())
"""Operations whose output is an affine function of one input that depends on the image."""


@dataclass(frozen=True)
class Segment:
    """The operations between two neighbouring points, a function from ``source`` to ``target``."""

    source: Tensor
    target: Tensor
    ops: tuple[Op, ...]

    @property
    def pointwise(self) -> bool:
        """Whether every place of ``target`` depends on the same place of ``source`` alone."""
        return all(op.kind in POINTWISE for op in self.ops)


def cut(ops: Sequence[Op], source: Tensor, target: Tensor) -> tuple[Segment, ...]:
    """Cut the operations from ``source`` to ``target`` where only one value is alive."""
    needed, kept = {id(target)}, []
    for op in reversed(ops):
        if any(id(output) in needed for output in op.outputs):
            kept.append(op)
            needed |= {id(tensor) for tensor in op.inputs}
    kept.reverse()
    last = {id(tensor): place for place, op in enumerate(kept) for tensor in op.inputs}
    last[id(target)] = len(kept)
    segments, start, point, alive = [], 0, source, {id(source)}
    for place, op in enumerate(kept):
        alive |= {id(output) for output in op.outputs if id(output) in needed}
        alive = {tensor for tensor in alive if last[tensor] > place}
        ends = [output for output in op.outputs if alive == {id(output)}]
        if ends:
            segments.append(Segment(point, ends[0], tuple(kept[start : place + 1])))
            start, point = place + 1, ends[0]
    return tuple(segments)
