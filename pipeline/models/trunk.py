"""The trunk of a convolutional network: the tensors that everything has to pass through.

A value of the forward pass is a *point* of the trunk if every path from the image to the last
feature map goes through it: in a chain of layers each of their outputs, in a residual network
what follows each sum, in DenseNet or Inception what leaves each block. Points cut the network
into *segments*, each a function of its first point alone. This needs no knowledge of a family:
it is read off the tape of operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from pipeline.errors import UnsupportedModel
from pipeline.models.logits import tensor_of
from pipeline.models.tape import Op, recording, replay

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
"""Operations that work on each place by itself: with what precedes them they make one layer."""

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


@dataclass(frozen=True)
class Trunk:
    """One forward pass of B images: segments from the image to the last feature map.

    ``places`` are the indices of the segments whose targets are the input of a layer (but the
    first) or the last feature map; ``layers`` say which module made each. Targets are
    (B, C, h, w), or (B, h, w, C) where ``channels_last``. A layer is a convolution or a pooling
    with the norms and activations after it, or a block that has no inner point.
    """

    segments: tuple[Segment, ...]
    places: tuple[int, ...]
    layers: tuple[str, ...]
    channels_last: tuple[bool, ...]
    logits: Tensor

    @property
    def features(self) -> Tensor:
        """The last feature map, (B, C, h, w)."""
        return self.segments[-1].target

    @property
    def points(self) -> tuple[Tensor, ...]:
        """The inputs of the layers and the last feature map, from the second layer on."""
        return tuple(self.segments[place].target for place in self.places)

    def as_maps(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return tensors shaped as the points as (B, C, h, w)."""
        return tuple(
            tensor.permute(0, 3, 1, 2) if last else tensor
            for tensor, last in zip(tensors, self.channels_last, strict=True)
        )


def read_trunk(model: nn.Module, images: Tensor) -> Trunk:
    """Run a convolutional network on images (B, 3, H, W) and return its trunk.

    The last feature map is what ``forward_features`` returns in models of timm; elsewhere it is
    the last point of four dimensions with more than one cell, before an adaptive pooling.

    Raises
    ------
    UnsupportedModel
        No point has four dimensions, or the last feature map is not (B, C, h, w).
    """
    name = type(model).__name__
    with recording(model, images) as ops:
        if hasattr(model, "forward_features") and hasattr(model, "forward_head"):
            features = model.forward_features(images)  # type: ignore[operator]
            logits = tensor_of(model.forward_head(features), model)  # type: ignore[operator]
        else:
            features = logits = tensor_of(model(images), model)
    if not isinstance(features, Tensor):
        raise UnsupportedModel(f"{name} has several last feature maps; use input_gradient")
    segments = _segments(ops, images, features)
    if features is logits:
        segments = _up_to_last_map(segments)
    places = _places(segments)
    if not places or segments[places[-1]].target.ndim != 4:
        raise UnsupportedModel(
            f"{name} has no feature maps (B, C, h, w) that everything passes through; use "
            "input_gradient, daam for a transformer, or a convolutional network"
        )
    last = _channels_last(segments)
    if last[places[-1]] != (getattr(model, "output_fmt", "NCHW") == "NHWC"):
        raise UnsupportedModel(
            f"{name} moves its channels in a way that cannot be followed; use input_gradient"
        )
    return Trunk(
        segments, places, _names(segments, places), tuple(last[place] for place in places), logits
    )


@torch.no_grad()
def check_replay(model: nn.Module, trunk: Trunk) -> None:
    """Replay the tape from other images and compare with what the model makes of them.

    Raises
    ------
    UnsupportedModel
        They differ: the model computes something that the tape does not show.
    """
    source = trunk.segments[0].source.detach()
    others = 0.7 * source.flip(-1) + 0.1
    with torch.autocast(source.device.type, enabled=False):
        wanted = read_trunk(model, others).features
        ops = [op for segment in trunk.segments for op in segment.ops]
        (found,) = replay(ops, trunk.segments[0].source, others, [trunk.features])
    finite = wanted.isfinite().flatten(1).all(dim=1)
    scale = wanted[finite].abs().amax() if finite.any() else wanted.new_ones(())
    if not ((found - wanted)[finite].abs() <= 1e-2 * scale).all():
        raise UnsupportedModel(
            f"{type(model).__name__} computes its features by something other than plain torch "
            "functions of the image (scripted code, or values kept from an earlier batch)"
        )


def _segments(ops: Sequence[Op], source: Tensor, target: Tensor) -> tuple[Segment, ...]:
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


def _up_to_last_map(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    maps = [
        place
        for place, segment in enumerate(segments)
        if segment.target.ndim == 4
        and segment.target.shape[-2:].numel() > 1
        and segment.ops[-1].kind != "adaptive_avg_pool2d"
    ]
    return segments[: maps[-1] + 1] if maps else ()


def _places(segments: tuple[Segment, ...]) -> tuple[int, ...]:
    """Return the segments whose targets enter a layer, and the last one."""
    found = [
        place
        for place, (segment, following) in enumerate(pairwise(segments))
        if segment.target.ndim == 4
        and segment.ops[-1].kind != "pad"
        and not following.pointwise
        and following.ops[0].kind not in RESHAPES - {"pad"} | {"linear"}
    ]
    return (*found, len(segments) - 1) if segments else ()


def _channels_last(segments: tuple[Segment, ...]) -> list[bool]:
    """Say which targets have their channels last, as permutations on the trunk leave them."""
    last, found = False, []
    for segment in segments:
        op = segment.ops[-1]
        if len(segment.ops) == 1 and op.kind == "permute":
            order = tuple(leaf for leaf in tree_leaves((op.args[1:], op.kwargs)))
            last = {(0, 2, 3, 1): True, (0, 3, 1, 2): False}.get(order, last)
        found.append(last)
    return found


def _names(segments: tuple[Segment, ...], places: tuple[int, ...]) -> tuple[str, ...]:
    """Name layers by the module that made their input; repeated names are numbered."""
    names: list[str] = []
    for place in places:
        op = segments[place].ops[-1]
        name = op.module or op.kind
        repeats = sum(other.partition(":")[0] == name for other in names)
        names.append(f"{name}:{repeats + 1}" if repeats else name)
    return tuple(names)
