"""Dynamic Accumulated Attention Map, supervised (arXiv 2503.14640): one map per block.

The attention writes T = Σ_j a[r, j]·v[j] into the class token r. With the gradient g of the
explained logit with respect to T, patch j of a block gets

    map[j] = ReLU( Σ_heads a[r, j] · ⟨v[j], ReLU(g)⟩ ).

Only the rows of the readout tokens are formed, so attention stays fused and nothing is N × N.
"""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from pipeline.flows.attention import Attention, Recording, record
from pipeline.flows.flow import Flow, check_targets
from pipeline.flows.session import frozen, fused
from pipeline.models import anatomy


class Daam:
    """DAAM of a class-token vision transformer.

    A distilled model reads two tokens; its map sums over both, as its logits do. Where a positive
    gate follows the attention (gated attention), taking g at the attention's output equals
    taking it at the projection's input with gated values, so T is the attention's output here.

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
        self._anatomy = anatomy(model)
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

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of a batch; every image's maps are independent of its batch mates.

        Parameters
        ----------
        images
            (B, 3, H, W) float, normalised, on the model's device.
        targets
            (B,) integer classes to explain; the predicted ones if None.

        Returns
        -------
        Flow
            ``maps`` (B, L, h, w) float32. Extras: ``prefix_mass`` (B, L), the share [0, 1] of
            the class token's attention that prefix tokens keep (mean over heads), and
            ``token_norm`` (B, h, w), the L2 norm of the last block's patch tokens.

        Raises
        ------
        ValueError
            Targets that are no classes of the model, or a flow used outside its context.
        UnsupportedModel
            The first batch shows an attention that is no weighted sum of values.
        """
        if not self._open:
            raise ValueError("use the flow inside its context: with create_flow(...) as flow:")
        check_targets(targets, len(images), self._anatomy.num_classes)
        # An inference-mode caller would otherwise get tensors that no graph can hold.
        with torch.inference_mode(False), torch.enable_grad():
            recording = record(
                self._anatomy, lambda: self._model(images.detach()), verify=not self._verified
            )
            self._verified = True
            logits = recording.logits
            target = (logits.argmax(dim=1) if targets is None else targets).to(logits.device)
            score = logits.gather(1, target.long()[:, None]).sum()
            gradients = torch.autograd.grad(score, [a.output for a in recording.attentions])
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return self._flow(recording, gradients, target.long(), images.shape[-2:])

    def _flow(
        self, recording: Recording, gradients: tuple[Tensor, ...], target: Tensor, size: torch.Size
    ) -> Flow:
        images, grid = len(target), self._anatomy.grid(*size)
        prefix = self._anatomy.num_prefix_tokens
        maps, kept = [], []
        for attention, gradient in zip(recording.attentions, gradients, strict=True):
            paid = attention.rows(self._anatomy.readout)
            maps.append(_contribution(attention, paid, gradient[:, :, list(self._anatomy.readout)]))
            kept.append(paid[:, :, 0, :prefix].sum(dim=-1).mean(dim=1))
        return Flow(
            maps=torch.stack(maps, dim=1)[..., prefix:].reshape(images, -1, *grid),
            layers=self._anatomy.layers,
            logits=recording.logits.detach().float(),
            target=target,
            extras={
                "prefix_mass": torch.stack(kept, dim=1),
                "token_norm": recording.tokens[:, prefix:].float().norm(dim=-1).view(images, *grid),
            },
        )


def _contribution(attention: Attention, paid: Tensor, gradient: Tensor) -> Tensor:
    """Return ReLU(Σ_h Σ_r a·⟨v, ReLU(g)⟩), (B, N), from a (B, H, R, N) and g (B, H, R, d)."""
    gain = attention.value.float() @ gradient.float().relu().transpose(-2, -1)
    return (paid * gain.transpose(-2, -1)).sum(dim=(1, 2)).relu()
