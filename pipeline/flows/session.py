"""The time in which a method may touch a model: parameters frozen, then as they were."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from torch import Tensor, nn

from pipeline.models import check_images, check_ready


class Session:
    """What every method is: a context in which its model is frozen, and outside of which it rests.

    Parameters
    ----------
    model
        A network in evaluation mode.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._session = ExitStack()
        self._open = False

    def __enter__(self) -> Self:
        with ExitStack() as session:
            self.prepare(session)
            self._session = session.pop_all()
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        self._session.close()

    def prepare(self, session: ExitStack) -> None:
        """Enter what the model needs while it is explained; ``session`` undoes it."""
        session.enter_context(frozen(self._model))

    def require_open(self, images: Tensor) -> None:
        """Raise ``ValueError`` outside the method's context, or if images do not fit the model."""
        if not self._open:
            raise ValueError("use the flow inside its context: with create_flow(...) as flow:")
        check_images(self._model, images)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Take the gradients away from every parameter and give them back at the end.

    Raises
    ------
    UnsupportedModel
        The model is in no state to be explained; see :func:`pipeline.models.check_ready`.
    """
    check_ready(model)
    wanting = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in wanting:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)


@contextmanager
def fused(model: nn.Module) -> Iterator[None]:
    """Switch every timm attention to ``scaled_dot_product_attention`` and back at the end."""
    manual = [module for module in model.modules() if getattr(module, "fused_attn", None) is False]
    try:
        for module in manual:
            module.fused_attn = True  # type: ignore[assignment]
        yield
    finally:
        for module in manual:
            module.fused_attn = False  # type: ignore[assignment]
