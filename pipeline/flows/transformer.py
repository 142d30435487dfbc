"""``TransformerMethod``: what the methods that read a transformer's attentions have in common."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.flows.attention import Recording, record
from pipeline.flows.session import frozen, fused
from pipeline.models import Anatomy, anatomy


class TransformerMethod:
    """A transformer between entering and leaving: parameters frozen, attention fused.

    Parameters
    ----------
    model
        A timm vision transformer in evaluation mode.

    Raises
    ------
    UnsupportedModel
        See :func:`pipeline.models.anatomy`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._anatomy: Anatomy = anatomy(model)
        self._session = ExitStack()
        self._open = self._verified = False

    def __enter__(self) -> Self:
        with ExitStack() as session:
            session.enter_context(frozen(self._model))
            session.enter_context(fused(self._model))
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

    def require_open(self) -> None:
        """Raise ``ValueError`` outside the method's context."""
        if not self._open:
            raise ValueError("use the flow inside its context: with create_flow(...) as flow:")

    def require_head(self, instead: str) -> None:
        """Raise ``UnsupportedModel`` for a model without a classifier."""
        if self._anatomy.num_classes < 1:
            raise UnsupportedModel(
                f"{self._anatomy.name} has no classifier, so it has no logit to explain; "
                f"load weights with a head, or {instead}"
            )

    def record(
        self, images: Tensor, forward: Callable[[Tensor], Tensor] | None = None, graph: bool = True
    ) -> Recording:
        """Run the model (or ``forward``) on a batch; the first batch is verified."""
        recording = record(
            self._anatomy,
            forward or self._model,
            images.detach(),
            verify=not self._verified,
            graph=graph,
        )
        return recording

    def gradients(self, recording: Recording, score: Tensor) -> tuple[Tensor, ...]:
        """Return ∂score/∂T of every layer, (B, H, Q, d) each; the first batch is verified.

        Raises
        ------
        UnsupportedModel
            The classifier reads other tokens than the readout rows say.
        """
        found = torch.autograd.grad(score, [a.output for a in recording.attentions])
        if not self._verified:
            self._check_unread(found)
        self._verified = True
        return found

    def _check_unread(self, gradients: tuple[Tensor, ...]) -> None:
        """After the last block nothing but the readout rows may have a gradient."""
        last = [g for layer, g in zip(self._anatomy.layers, gradients, strict=True)
                if layer.block is self._anatomy.last or layer is self._anatomy.layers[-1]]
        layers = [layer for layer in self._anatomy.layers
                  if layer.block is self._anatomy.last or layer is self._anatomy.layers[-1]]
        for layer, gradient in zip(layers, last, strict=True):
            unread = gradient.abs().amax(dim=(0, 1, 3)) > 0
            unread[layer.rows] = False
            if unread.any():
                raise UnsupportedModel(
                    f"{self._anatomy.name} reads other tokens than its head says; "
                    "use flow.method input_gradient or activation"
                )


@contextmanager
def graphs() -> Iterator[None]:
    """Let graphs be built, whatever the caller thinks of gradients."""
    # An inference-mode caller would otherwise get tensors that no graph can hold.
    with torch.inference_mode(False), torch.enable_grad():
        yield
