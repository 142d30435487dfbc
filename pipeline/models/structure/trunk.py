"""The trunk of a convolutional network: the tensors that every path goes through.

A value of the forward pass is a *point* of the trunk if every path from the image to the last
feature map goes through it: in a chain of layers each of their outputs, in a residual network
what follows each sum, in DenseNet or Inception what leaves each block. Points cut the network
into *segments*, each a function of its first point alone. This needs no knowledge of the model
family: it is read from the tape of operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.layout import channels_last, coordinates, lies_on_image
from pipeline.models.structure.logits import tensor_of
from pipeline.models.structure.segments import POINTWISE, RESHAPES, Segment, cut
from pipeline.models.structure.tape import Tape, recording, replay


@dataclass(frozen=True)
class Layout:
    """Which points of a trunk are layers, and their layout on the image, for one image size.

    The trunk has ``length`` segments up to its last feature map. ``places`` are the indices of
    those whose targets are the input of a layer (but the first) or the last feature map, and
    ``channels_last`` is which of these are (B, h, w, C) instead of (B, C, h, w).
    ``left_out`` names the points of four dimensions that do not lie on the image.
    """

    length: int
    places: tuple[int, ...]
    channels_last: tuple[bool, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Trunk:
    """One forward pass of B images: segments from the image to the last feature map.

    ``layers`` name the targets at the places of ``layout`` by the module whose output each is. A
    layer is a convolution or a pooling with the norms and activations after it, or a block that
    has no inner point.
    """

    segments: tuple[Segment, ...]
    layout: Layout
    layers: tuple[str, ...]
    logits: Tensor

    @property
    def places(self) -> tuple[int, ...]:
        """The indices of the segments whose targets are :attr:`points`."""
        return self.layout.places

    @property
    def features(self) -> Tensor:
        """The last feature map, (B, C, h, w) or (B, h, w, C)."""
        return self.segments[-1].target

    @property
    def points(self) -> tuple[Tensor, ...]:
        """The inputs of the layers and the last feature map, from the second layer on."""
        return tuple(self.segments[place].target for place in self.places)

    def as_maps(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return tensors shaped as the points as (B, C, h, w)."""
        return tuple(
            tensor.permute(0, 3, 1, 2) if last else tensor
            for tensor, last in zip(tensors, self.layout.channels_last, strict=True)
        )


def read_trunk(model: nn.Module, images: Tensor, layout: Layout | None = None) -> Trunk:
    """Run a convolutional network on images (B, 3, H, W) and return its trunk.

    The last feature map is what ``forward_features`` returns in models of timm; elsewhere it is
    the last point that lies on the image with more than one cell, before an adaptive pooling.
    ``layout`` is that of an earlier batch of the size, if there was one.

    Raises
    ------
    UnsupportedModel
        See :func:`read_layout`; or the model takes another path than for the batch of ``layout``.
    """
    layout = layout or read_layout(model, images)
    tape, segments, logits = _pass(model, images)
    segments = segments[: layout.length]
    if len(segments) < layout.length or any(segments[p].target.ndim != 4 for p in layout.places):
        raise UnsupportedModel(
            f"{type(model).__name__} takes different paths through its layers for different "
            "images; use input_gradient"
        )
    return Trunk(segments, layout, _names(tape, segments, layout.places), logits)


@torch.no_grad()
def read_layout(model: nn.Module, images: Tensor) -> Layout:
    """Find the layers of a network for images of a size (B, 3, H, W), and prove their layout.

    A point of the trunk is a layer only if its cells lie on the image, see
    :mod:`pipeline.models.structure.layout`; other points of four dimensions are left out.

    Raises
    ------
    UnsupportedModel
        No point lies on the image, the last feature map does not, or the model continues with
        tokens after it.
    """
    name = type(model).__name__
    with coordinates(images) as places_of_pixels:
        tape, segments, logits = _pass(model, places_of_pixels)
        last = [channels_last(segment.target) for segment in segments]
        length = len(segments)
        if segments and segments[-1].target is logits:
            length = _last_map(segments, last) + 1
            behind = segments[length:] if length else ()
            if any(
                _are_tokens(segment, segments[length - 1], last[length - 1]) for segment in behind
            ):
                length = 0
    found = _places(segments[:length])
    places = tuple(place for place in found if last[place] is not None)
    if not places or segments[places[-1]].target.ndim != 4:
        raise UnsupportedModel(
            f"{name} has no feature maps (B, C, h, w) that everything passes through; use "
            "input_gradient, daam for a transformer, or a convolutional network"
        )
    if places[-1] != length - 1:
        raise UnsupportedModel(
            f"the last feature map of {name}, {tuple(segments[length - 1].target.shape[1:])}, does "
            "not lie on the image as its axes say, so its cells have no place; use input_gradient"
        )
    return Layout(
        length,
        places,
        tuple(bool(last[place]) for place in places),
        _names(tape, segments, tuple(place for place in found if last[place] is None)),
    )


def _pass(model: nn.Module, images: Tensor) -> tuple[Tape, tuple[Segment, ...], Tensor]:
    """Run a model; return its tape, the segments up to its last activations, and its logits.

    Where its last activations are unknown, the segments go up to the logits.
    """
    with recording(model, images) as tape:
        if hasattr(model, "forward_features") and hasattr(model, "forward_head"):
            features = model.forward_features(images)  # type: ignore[operator]
            logits = tensor_of(model.forward_head(features), model)  # type: ignore[operator]
        else:
            features = logits = tensor_of(model(images), model)
    if not isinstance(features, Tensor):
        raise UnsupportedModel(
            f"{type(model).__name__} has several last feature maps; use input_gradient"
        )
    return tape, cut(tape, images, features), logits


@torch.no_grad()
def check_replay(model: nn.Module, trunk: Trunk) -> None:
    """Replay the tape from other images and compare with the model's output for them.

    Raises
    ------
    UnsupportedModel
        They differ: the model computes something that the tape does not contain.
    """
    source = trunk.segments[0].source.detach()
    others = 0.7 * source.flip(-1) + 0.1
    with torch.autocast(source.device.type, enabled=False):
        # Without the head, so that a recorder of embeddings there does not see these images.
        whole = hasattr(model, "forward_features") and hasattr(model, "forward_head")
        wanted = (
            model.forward_features(others)  # type: ignore[operator]
            if whole
            else read_trunk(model, others, trunk.layout).features
        )
        ops = [op for segment in trunk.segments for op in segment.ops]
        (found,) = replay(ops, trunk.segments[0].source, others, [trunk.features])
    finite = wanted.isfinite().flatten(1).all(dim=1)
    scale = wanted[finite].abs().amax() if finite.any() else wanted.new_ones(())
    if not ((found - wanted)[finite].abs() <= 1e-2 * scale).all():
        raise UnsupportedModel(
            f"{type(model).__name__} computes its features by something other than plain torch "
            "functions of the image (scripted code, or values kept from an earlier batch)"
        )


def _last_map(segments: Sequence[Segment], last: Sequence[bool | None]) -> int:
    """Return the last point that lies on the image with more than one cell, -1 if none does."""
    maps = [
        place
        for place, (segment, behind) in enumerate(zip(segments, last, strict=True))
        if behind is not None
        and segment.target.shape[1 : 3 if behind else None][-2:].numel() > 1
        and segment.ops[-1].kind != "adaptive_avg_pool2d"
    ]
    return maps[-1] if maps else -1


def _are_tokens(segment: Segment, last_map: Segment, behind: bool | None) -> bool:
    """Return whether a segment mixes tokens: the cells of the last map, as (B, N, C) or (N, B, C).

    Tokens before those of the cells (a class token) do not count.
    """
    values, shape = segment.target, last_map.target.shape
    rows, columns = shape[1:3] if behind else shape[2:]
    if values.ndim != 3 or {op.kind for op in segment.ops} <= POINTWISE | RESHAPES | {"cat"}:
        return False
    for images, tokens in ((0, 1), (0, 2), (1, 0)):
        if values.shape[images] == 2 and values.shape[tokens] >= rows * columns:
            cells = values.movedim((images, tokens), (0, 2))[..., -rows * columns :]
            if lies_on_image(cells.reshape(*cells.shape[:2], rows, columns)):
                return True
    return False


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


def _names(tape: Tape, segments: Sequence[Segment], places: Sequence[int]) -> tuple[str, ...]:
    """Name points by the module whose output they are; repeated names are numbered."""
    names: list[str] = []
    for place in places:
        name = tape.name(segments[place].ops[-1], segments[place].target)
        repeats = sum(
            other == name or (other.startswith(f"{name}:") and other[len(name) + 1 :].isdigit())
            for other in names
        )
        names.append(f"{name}:{repeats + 1}" if repeats else name)
    return tuple(names)
