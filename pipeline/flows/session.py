"""``Session``: the context in which a method uses a model, with frozen parameters."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from pipeline.flows.flow import Flow
from pipeline.models import check_images, check_ready
from pipeline.models.sharing import held, lock_of
from pipeline.models.structure.layout import coordinates, lies_on_image


class Session:
    """The base of every method: a context in which its model is frozen, and restored at the end.

    Threads may share a method or a model: a batch is explained under the model's lock
    (:func:`pipeline.models.sharing.lock_of`), so batches of one model wait for each other, and
    those of different models do not. Other passes of the model need no lock.

    Parameters
    ----------
    model
        A network in evaluation mode.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._lock = lock_of(model)
        self._lying: dict[torch.Size, tuple[bool, ...]] = {}
        self._sessions: list[ExitStack] = []

    def __init_subclass__(cls, **options: Any) -> None:
        """Make every method's call hold the model's lock."""
        super().__init_subclass__(**options)
        if "__call__" in vars(cls):
            cls.__call__ = _alone(cls.__call__)  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        with self._lock, ExitStack() as session:
            self.prepare(session)
            self._sessions.append(session.pop_all())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._sessions.pop().close()

    def prepare(self, session: ExitStack) -> None:
        """Prepare the model to be explained; ``session`` restores it."""
        session.enter_context(frozen(self._model))

    def require_open(self, images: Tensor) -> None:
        """Raise ``ValueError`` outside the method's context, or if images do not fit the model."""
        if not self._sessions:
            raise ValueError("use the flow inside its context: with create_flow(...) as flow:")
        check_images(self._model, images)

    def lying(self, images: Tensor, read: Callable[[Tensor], Sequence[Tensor]]) -> tuple[bool, ...]:
        """Return which maps (B, C, h, w) of a model lie on the image, computed once per image size.

        ``read`` gets two images of coordinates and returns the model's maps of them; see
        :mod:`pipeline.models.structure.layout`.
        """
        size = images.shape[-2:]
        if size not in self._lying:
            with coordinates(images) as points:
                self._lying[size] = tuple(map(lies_on_image, read(points)))
        return self._lying[size]


def warn_left_out(model: nn.Module, layers: Sequence[str]) -> None:
    """Warn which layers of a model have no map, if there are any."""
    if layers:
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        warnings.warn(
            f"{type(model).__name__}: {', '.join(layers[:3])}{more} left out: the cells of these "
            "tensors do not lie on the image as their axes imply",
            stacklevel=2,
        )


def _alone(explain: Callable[..., Flow]) -> Callable[..., Flow]:
    """Decorate a method's call to hold the model's lock."""

    @wraps(explain)
    def explained(method: Any, *args: Any, **named: Any) -> Flow:
        with method._lock:
            return explain(method, *args, **named)

    return explained


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Disable the gradients of every parameter, and restore them at the end.

    Raises
    ------
    UnsupportedModel
        The model is not ready to be explained; see :func:`pipeline.models.check_ready`.
    """
    check_ready(model)
    with held(model.parameters(), "requires_grad", False):
        yield


@contextmanager
def fused(model: nn.Module) -> Iterator[None]:
    """Switch every timm attention to ``scaled_dot_product_attention`` and back at the end."""
    attentions = [module for module in model.modules() if hasattr(module, "fused_attn")]
    with held(attentions, "fused_attn", True):
        yield
