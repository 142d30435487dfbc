"""``TransformerMethod``: the base of methods that read a transformer's attention."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.flows.recording import Recording, record
from pipeline.flows.session import Session, fused
from pipeline.models import Anatomy, Layer, anatomy
from pipeline.models.structure.logits import gradients_of, logits_of
from pipeline.models.structure.towers import found_anatomy


class TransformerMethod(Session):
    """A context on a transformer: parameters frozen, attention fused.

    Parameters
    ----------
    model
        A vision transformer in evaluation mode. That of another library than timm is understood
        at its first images (:mod:`pipeline.models.structure.towers`).

    Raises
    ------
    UnsupportedModel
        See :func:`pipeline.models.anatomy`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._verified = False
        self._anatomies: dict[torch.Size, Anatomy] = {}
        self._known = self.accepted(anatomy(model)) if _is_of_timm(model) else None

    def prepare(self, session: ExitStack) -> None:
        """Freeze the model and switch to the attention that can be recorded."""
        super().prepare(session)
        session.enter_context(fused(self._model))

    def require_open(self, images: Tensor) -> None:
        """Check images and context, and find the anatomy of a model that is not timm's."""
        super().require_open(images)
        if not _is_of_timm(self._model):
            size = images.shape[-2:]
            if size not in self._anatomies:
                with graphs():
                    found = found_anatomy(self._model, images.detach())
                self._anatomies[size] = self.accepted(found)
            self._known = self._anatomies[size]

    @property
    def _anatomy(self) -> Anatomy:
        """The anatomy; that of another library's model is known after its first images."""
        assert self._known is not None
        return self._known

    def accepted(self, found: Anatomy) -> Anatomy:
        """Return the anatomy of a model; a subclass refuses what it cannot explain."""
        return found

    def require_head(self, instead: str) -> None:
        """Raise ``UnsupportedModel`` for a model without a classifier."""
        if int(getattr(self._model, "num_classes", 1)) < 1:
            name = self._known.name if self._known else type(self._model).__name__
            raise UnsupportedModel(
                f"{name} has no classifier, so it has no logit to explain; "
                f"load weights with a head, or {instead}"
            )

    def record(
        self,
        images: Tensor,
        forward: Callable[[Tensor], Tensor] | None = None,
        graph: bool = True,
        every_row: bool = False,
    ) -> Recording:
        """Run the model (or ``forward``) on a batch and record its attention; see :func:`record`.

        Raises
        ------
        UnsupportedModel
            See :func:`record`; or the patches that a layer attends to do not lie on the image.
        """
        lying = self.lying(images, self._patches)
        if not all(lying):
            raise UnsupportedModel(
                f"the patches that {self._anatomy.name} attends to in "
                f"{self._anatomy.names[lying.index(False)]} do not lie on the image row by row, so "
                "no map can be made of them; use flow.method input_gradient"
            )
        return record(
            self._anatomy,
            forward or self._model,
            images.detach(),
            verify=not self._verified,
            graph=graph,
            every_row=every_row,
        )

    def _patches(self, images: Tensor) -> list[Tensor]:
        """Return what each layer attends to, (B, H·d, h, w)."""
        with graphs():
            recording = record(self._anatomy, self._model, images, verify=False, graph=False)
        return [
            attention.key[:, :, layer.prefix :].mT.reshape(len(images), -1, *recording.grid)
            for attention, layer in zip(recording.attentions, self._anatomy.layers, strict=True)
        ]

    def gradients(self, recording: Recording, score: Tensor) -> tuple[Tensor, ...]:
        """Return ∂score/∂T of every layer, (B, H, Q, d) each.

        Raises
        ------
        UnsupportedModel
            The first batch shows that the classifier reads other tokens than the readout rows.
        """
        outputs = [attention.output for attention in recording.attentions]
        found = gradients_of(score, outputs, self._model)
        if not self._verified:
            for layer, gradient in zip(self._anatomy.layers, found, strict=True):
                self._check_unread(layer, gradient)
        return found

    def target_logits(self, recording: Recording, targets: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return logits (B, C) and targets (B,), the predicted classes if None.

        A model without a head has logits (B, 0) and targets -1.
        """
        logits = logits_of(recording.result, self._model)
        if self._anatomy.num_classes < 1:
            none = torch.full((len(logits),), -1, device=logits.device)
            return logits.new_zeros(len(logits), 0), none
        target = logits.argmax(dim=1) if targets is None else targets.to(logits.device)
        return logits, target.long()

    def token_norm(self, recording: Recording) -> dict[str, Tensor]:
        """Return the L2 norms (B, h, w) of the last block's patch tokens as ``token_norm``.

        Nothing where the model's blocks put out no tokens.
        """
        if recording.tokens is None:
            return {}
        patches = recording.tokens[:, self._anatomy.num_prefix_tokens :].float()
        norms: Tensor = patches.norm(dim=-1).view(len(patches), *recording.grid)
        return {"token_norm": norms}

    def _check_unread(self, layer: Layer, gradient: Tensor) -> None:
        """Refuse a gradient after the last block on anything but its readout rows."""
        if layer.block is not self._anatomy.last and layer is not self._anatomy.layers[-1]:
            return
        unread = gradient.abs().amax(dim=(0, 1, 3)) > 0
        unread[layer.rows] = False
        if unread.any():
            raise UnsupportedModel(
                f"{self._anatomy.name} reads tokens other than its readout tokens; "
                "use flow.method input_gradient or activation"
            )


def _is_of_timm(model: nn.Module) -> bool:
    """Return whether a model has timm's interface, so that its anatomy is read from its modules."""
    return hasattr(model, "forward_features") and hasattr(model, "forward_head")


@contextmanager
def graphs() -> Iterator[None]:
    """Enable graphs, whatever the caller's gradient mode."""
    # An inference-mode caller would otherwise get tensors that no graph can hold.
    with torch.inference_mode(False), torch.enable_grad():
        yield
