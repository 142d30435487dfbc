"""The attentions of a transformer of several stages or windows, and where their keys lie.

Swin, Hiera, Twins, PiT, LeViT, MViT and others attend within windows, to pooled tokens, or at
several resolutions. A model is run on the coordinates of an image's pixels
(:mod:`pipeline.models.structure.coordinates`), so that every key of every window has a position;
the keys of a layer must be the cells of one lattice, each the same number of times. So windows,
their shifts and their order are found for any weights, and no name is read.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models.sharing import of_this_thread
from pipeline.models.structure.attention_calls import AttentionCalls, Call, exploring
from pipeline.models.structure.coordinates import has_coordinates
from pipeline.models.structure.layout import coordinates
from pipeline.models.structure.logits import gradients_of, logits_of
from pipeline.models.structure.sight import SAME

_INSTEAD = "use flow.method gradcam or input_gradient"
_MOST_PREFIX = 16
"""Most tokens before the patches that are looked for."""


@dataclass(frozen=True)
class Windows:
    """One attention: G windows (and heads) of Q queries and N keys per image.

    ``prefix`` of the keys are no patches. ``order`` (h · w, c) are, for each cell of the ``grid``,
    row by row, the c places among the (G · (N − prefix)) other keys that lie there; c is the number
    of heads, or of heads and windows that share it. ``rows`` are the queries that are read.
    """

    name: str
    prefix: int
    rows: slice
    grid: tuple[int, int]
    order: Tensor


@dataclass
class _Seen:
    name: str
    queries: int
    places: Tensor  # (2, G, N): rows and columns


def has_heads(module: nn.Module) -> bool:
    """Return whether a module has attention heads, or is made of modules that have."""
    found = (getattr(module, name, None) for name in ("num_heads", "heads"))
    return any(isinstance(heads, int) for heads in found)


def split(tensor: Tensor) -> Tensor:
    """Return queries, keys, values or outputs (B, …, N, d) with one dimension between both."""
    return tensor.flatten(1, -3) if tensor.ndim > 4 else tensor


def find_windows(model: nn.Module, images: Tensor) -> tuple[Windows, ...]:
    """Find the attentions of a model for images of this size, (B, 3, H, W), in order of the pass.

    Raises
    ------
    UnsupportedModel
        An attention cannot be seen, or its keys are not the cells of one lattice, each as often as
        any other. The message states which.
    """
    name, watch = type(model).__name__, _Watch()
    with torch.no_grad(), watch.hooks(model), coordinates(images) as points, watch:
        model(points)
    if not watch.seen:
        raise UnsupportedModel(
            f"{name} computes no attention that can be seen (scaled_dot_product_attention, "
            f"nn.MultiheadAttention, or a softmax times its values); {_INSTEAD}"
        )
    _check_names(name, model, watch)
    lattices = [_lattice(name, seen) for seen in watch.seen]
    rows = _rows(model, images, watch.seen, [prefix for prefix, _, _ in lattices])
    return tuple(
        Windows(seen.name, prefix, read, grid, order.to(images.device))
        for seen, (prefix, grid, order), read in zip(watch.seen, lattices, rows, strict=True)
    )


def _check_names(name: str, model: nn.Module, watch: "_Watch") -> None:
    """Refuse a model that has an attention which was not seen, or that ran one twice."""
    for path, module in model.named_modules():
        if has_heads(module) and path in watch.ran and path not in watch.around:
            raise UnsupportedModel(
                f"{name} attends in {path} ({type(module).__name__}) in a way that cannot be seen "
                f"as a softmax times its values; {_INSTEAD}"
            )
    twice = [path for path, times in Counter(s.name for s in watch.seen).items() if times > 1]
    if twice:
        raise UnsupportedModel(
            f"{name} attends more than once in {twice[0]}, so its layers cannot be distinguished; "
            f"{_INSTEAD}"
        )


class _Watch(AttentionCalls):
    """Notes the attentions of a pass on two images of coordinates, and the modules that ran."""

    def __init__(self) -> None:
        super().__init__(images=2)
        self.seen: list[_Seen] = []
        self.ran: set[str] = set()
        self.around: set[str] = set()
        self._running: list[str] = []

    def hooks(self, model: nn.Module) -> ExitStack:
        """Note which modules are running until the returned context ends."""
        with ExitStack() as stack:
            for path, module in model.named_modules():
                enter, leave = of_this_thread(self._enter(path)), of_this_thread(self._leave)
                stack.callback(module.register_forward_pre_hook(enter).remove)
                stack.callback(module.register_forward_hook(leave).remove)
            return stack.pop_all()

    def _enter(self, path: str) -> Callable[..., None]:
        def run(module: nn.Module, inputs: Any) -> None:
            self._running.append(path)
            self.ran.add(path)

        return run

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._running.pop()

    def see(self, call: Call, output: Tensor) -> Tensor:
        self.around.update(self._running)
        name = self._running[-1] if self._running else ""
        places = _places(call.value) if has_coordinates(call.value) else None
        if places is None:
            raise UnsupportedModel(
                f"what is attended to in {name} does not lie on the image (channels, or tokens of "
                f"no single place); {_INSTEAD}"
            )
        self.seen.append(_Seen(name, call.query.shape[-2], places))
        return output


def _places(value: Tensor) -> Tensor | None:
    """Return rows and columns (2, G, N) of values (2 · …, N, d) of coordinates; else None."""
    if value.ndim < 3 or len(value) % 2:
        return None
    with torch._C.DisableTorchFunction():  # here coordinates are numbers
        values = value.detach().double().reshape(2, -1, *value.shape[-2:])
        mean = values.mean(dim=-1)
        alike = (values - mean[..., None]).abs().amax() < SAME
        return mean if bool(alike) else None


def _lattice(name: str, seen: _Seen) -> tuple[int, tuple[int, int], Tensor]:
    """Return the number of prefix keys, the grid, and the order of the other keys."""
    keys = seen.places.shape[2]
    for prefix in range(min(_MOST_PREFIX, keys - 1) + 1):
        if prefix and float(seen.places[:, :, prefix - 1].abs().amax()) > SAME:
            break  # this key has a place
        (down, rows), (across, columns) = map(_levels, seen.places[:, :, prefix:])
        cell = (down * columns + across).flatten()
        hits = cell.bincount(minlength=rows * columns)
        if (hits == hits[0]).all():
            order = cell.argsort(stable=True).view(rows * columns, -1)
            return prefix, (rows, columns), order
    raise UnsupportedModel(
        f"the keys of {name} in {seen.name} are not the cells of one lattice, each as often as any "
        "other (padded or overlapping windows, or merged tokens); use images of a size that its "
        "windows divide, or flow.method gradcam or input_gradient"
    )


def _levels(values: Tensor) -> tuple[Tensor, int]:
    """Return the number of each value's level, ascending, and how many levels there are."""
    ordered, places = values.flatten().sort()
    level = torch.zeros_like(places)
    level[1:] = (ordered.diff() > SAME).cumsum(0)
    numbers = torch.empty_like(places)
    numbers[places] = level
    return numbers.view(values.shape), int(level[-1]) + 1


def _rows(model: nn.Module, images: Tensor, seen: list[_Seen], prefixes: list[int]) -> list[slice]:
    """Return the queries of every attention that are read.

    The gradient of the logits of noise, at the last attention, shows whether patches are read, or
    only some of the tokens before them.
    """
    tokens = _tokens_read(model, images, seen[-1], prefixes[-1]) if prefixes[-1] else None
    if tokens is None:
        return [
            slice(prefix, None) if own.queries == own.places.shape[2] else slice(None)
            for own, prefix in zip(seen, prefixes, strict=True)
        ]
    for own, prefix in zip(seen, prefixes, strict=True):
        if prefix < tokens.stop or own.queries not in (own.places.shape[2], prefix):
            raise UnsupportedModel(
                f"{type(model).__name__} reads a token, and none of the queries of {own.name} is "
                f"known to be one; {_INSTEAD}"
            )
    return [tokens] * len(seen)


def _tokens_read(model: nn.Module, images: Tensor, last: _Seen, prefix: int) -> slice | None:
    """Return the tokens before the patches that are read; None if patches are."""
    if last.queries <= prefix:
        return slice(0, last.queries)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, *images.shape[1:], generator=generator)
    noise = noise.to(images.device, images.dtype)
    point = _Point(len(noise), last.name, model)
    with (
        exploring(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(images.device.type, enabled=False),
        point.hooks(),
        point,
    ):
        logits = logits_of(model(noise), model)
        weights = torch.randn(logits.shape, generator=generator).to(logits)
        (gradient,) = gradients_of((logits * weights).sum(), [point.output], model)
    read = gradient.flatten(0, -3).abs().amax(dim=(0, 2)) > 0
    if read[prefix:].any():
        return None
    found = read.nonzero().flatten().tolist()
    return slice(found[0], found[-1] + 1)


class _Point(AttentionCalls):
    """Begins the graph at the output of one attention."""

    output: Tensor

    def __init__(self, images: int, name: str, model: nn.Module) -> None:
        super().__init__(images)
        self._module = model.get_submodule(name)
        self._inside = False

    @property
    def watching(self) -> bool:  # type: ignore[override]
        return self._inside

    def hooks(self) -> ExitStack:
        """Note when the attention is running until the returned context ends."""

        def enter(module: nn.Module, inputs: Any) -> None:
            self._inside = True

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            self._inside = False

        with ExitStack() as stack:
            before = self._module.register_forward_pre_hook(of_this_thread(enter))
            stack.callback(before.remove)
            stack.callback(self._module.register_forward_hook(of_this_thread(leave)).remove)
            return stack.pop_all()

    def see(self, call: Call, output: Tensor) -> Tensor:
        self.output = output.detach().requires_grad_()
        return self.output
