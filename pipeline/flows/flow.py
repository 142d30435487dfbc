"""``Flow``: what every method returns, and its accumulation over layers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Flow:
    """The maps of B images over L layers, on the model's grid h × w.

    ``maps`` (B, L, h, w) float32, raw and non-negative; ``layers`` L names; ``logits`` (B, C)
    float32; ``target`` (B,) int64, the explained classes. ``extras`` are further tensors
    (B, ...) of a method, e.g. ``prefix_mass`` (B, L) and ``token_norm`` (B, h, w). Where layers
    differ in size, ``native`` are their own maps, (B, h_l, w_l) each, and ``maps`` the same
    resampled to one grid; otherwise it is empty.
    """

    maps: Tensor
    layers: tuple[str, ...]
    logits: Tensor
    target: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)
    native: tuple[Tensor, ...] = ()

    def first(self, images: int) -> "Flow":
        """Return the flow of the first ``images`` of the batch."""
        return Flow(
            maps=self.maps[:images],
            layers=self.layers,
            logits=self.logits[:images],
            target=self.target[:images],
            extras={name: values[:images] for name, values in self.extras.items()},
            native=tuple(values[:images] for values in self.native),
        )


class Method(Protocol):
    """A method bound to a model; hooks and frozen parameters live as long as its context."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W) for targets (B,), the predicted if None."""
        ...


class Comparison(Method, Protocol):
    """A method that compares with reference images and can leave one out."""

    def __call__(
        self, images: Tensor, targets: Tensor | None = None, exclude: Tensor | None = None
    ) -> Flow:
        """As for a method; ``exclude`` (B,) is the reference to leave out, -1 for none."""
        ...


def accumulate(maps: Tensor) -> Tensor:
    """Return the accumulated flow F_b = Σ_{i≤b} map_i of raw maps (B, L, h, w)."""
    return torch.cumsum(maps, dim=1)


_CHECKED = threading.local()


@contextmanager
def targets_checked(checked: bool = True) -> Iterator[None]:
    """Leave out the check of targets within the block, in this thread: the caller has made it.

    A GPU that has them would otherwise be waited for at every batch.
    """
    before = getattr(_CHECKED, "already", False)
    _CHECKED.already = checked
    try:
        yield
    finally:
        _CHECKED.already = before


def check_targets(targets: Tensor | None, images: int, classes: int) -> None:
    """Raise ``ValueError`` unless ``targets`` is None or (B,) class indices of the model.

    On a GPU an index out of range would break the whole CUDA context, not just this batch.
    """
    if targets is None:
        return
    if targets.dtype.is_floating_point or targets.shape != (images,):
        raise ValueError(
            f"targets must be {images} integers, one per image, "
            f"not {tuple(targets.shape)} of {targets.dtype}"
        )
    if getattr(_CHECKED, "already", False):
        return
    low, high = (int(targets.min()), int(targets.max())) if images else (0, 0)
    if low < 0 or high >= classes:
        raise ValueError(
            f"targets must be classes 0 … {classes - 1} of the model, found {low} … {high}"
        )
