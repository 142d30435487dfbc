"""Where a model attends: its calls of attention in a pass on coordinates of pixels."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.models.sharing import of_this_thread
from pipeline.models.structure.attention_calls import AttentionCalls, Call
from pipeline.models.structure.coordinates import has_coordinates
from pipeline.models.structure.layout import coordinates

SAME = 1e-4
"""Coordinates, of an image from -1 to 1, that differ less than this are the same."""


@dataclass(frozen=True)
class Seen:
    """A call of attention: the modules that were running, Q and N, and where the N keys are.

    ``places`` (2, N) are their rows and columns, None if they are not those of whole images;
    ``number`` counts all calls of the pass, those without an image too.
    """

    number: int
    modules: tuple[str, ...]
    queries: int
    keys: int
    places: Tensor | None


@dataclass
class Sight:
    """A pass: its calls of attention, how often every module ran, and the shapes it put out."""

    calls: list[Seen] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)
    shapes: dict[str, torch.Size] = field(default_factory=dict)


class _Watch(AttentionCalls):
    """Notes the calls of a pass on two images of coordinates."""

    def __init__(self) -> None:
        super().__init__(images=2)
        self.sight = Sight()
        self.running: list[str] = []
        self._calls = 0

    def see(self, call: Call, output: Tensor) -> Tensor:
        number, self._calls = self._calls, self._calls + 1
        if has_coordinates(call.key):
            places = _places(call.key)
            queries, keys = call.query.shape[-2], call.key.shape[-2]
            seen = Seen(number, tuple(self.running), queries, keys, places)
            self.sight.calls.append(seen)
        return output

    def enter(self, name: str) -> Callable[..., None]:
        def run(module: nn.Module, inputs: Any) -> None:
            self.running.append(name)

        return run

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        name = self.running.pop()
        self.sight.runs[name] += 1
        output = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(output, Tensor):
            self.sight.shapes[name] = output.shape


def _places(key: Tensor) -> Tensor | None:
    """Return rows and columns (2, N) of keys (2, H, N, d) of coordinates, alike in all heads."""
    if key.ndim != 4 or len(key) != 2:
        return None
    with torch._C.DisableTorchFunction():  # here coordinates are numbers
        values = key.detach().double()
        mean = values.mean(dim=(1, 3))
        alike = (values - mean[:, None, :, None]).abs().amax() < SAME
        return mean if bool(alike) else None


@torch.no_grad()
def look(model: nn.Module, images: Tensor) -> Sight:
    """Run a model on the coordinates of images of this size, (B, 3, H, W), and see its attentions.

    Raises
    ------
    UnsupportedModel
        The model does not run, or selects positions by their values.
    """
    watch = _Watch()
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            enter, leave = of_this_thread(watch.enter(name)), of_this_thread(watch.leave)
            hooks.callback(module.register_forward_pre_hook(enter).remove)
            hooks.callback(module.register_forward_hook(leave).remove)
        with coordinates(images) as points, watch:
            model(points)
    return watch.sight
