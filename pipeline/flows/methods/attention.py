"""The attention itself: which patches the readout attends to, layer by layer."""

import torch
from torch import Tensor

from pipeline.flows.flow import Flow, check_targets
from pipeline.flows.recording import Attention
from pipeline.flows.transformer import TransformerMethod, graphs
from pipeline.models import Layer


class AttentionRows(TransformerMethod):
    """The attention of the readout rows: map[j] = mean over heads and rows r of a[r, j].

    a is the model's own softmax attention (arXiv 1706.03762, equation 1). The readout rows are
    those of :class:`pipeline.flows.methods.daam.Daam`: class token, pooled patches, latent query of
    an attention pool, or class attention. A layer's map shows where the readout attended, not how
    that changed the logit; with its ``prefix_mass`` it sums to 1. Forward only, with or without a
    head; the maps do not depend on the target.

    Parameters
    ----------
    model
        A vision transformer in evaluation mode, of timm or any other library.

    Raises
    ------
    UnsupportedModel
        See :func:`pipeline.models.anatomy`.

    Examples
    --------
    >>> with create_flow("attention", model) as flow:
    ...     maps = flow(images).maps  # (B, L, h, w)
    """

    targeted = False
    """Maps are the same whatever class is asked for."""

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W); extras as of DAAM."""
        self.require_open(images)
        check_targets(targets, len(images), max(1, self._anatomy.num_classes))
        with graphs():
            recording = self.record(images, graph=False)
        self._verified = True
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            logits, target = self.target_logits(recording, targets)
            found = [
                _looks(attention, layer)
                for attention, layer in zip(recording.attentions, self._anatomy.layers, strict=True)
            ]
            return Flow(
                maps=torch.stack([seen for seen, _ in found], dim=1).view(
                    len(images), -1, *recording.grid
                ),
                layers=self._anatomy.names,
                logits=logits.detach().float(),
                target=target,
                extras={
                    "prefix_mass": torch.stack([kept for _, kept in found], dim=1),
                    **self.token_norm(recording),
                },
            )


def _looks(attention: Attention, layer: Layer) -> tuple[Tensor, Tensor]:
    """Return the attention on the patches (B, n) and on the prefix (B,), mean of all rows."""
    total, rows = torch.zeros((), device=attention.key.device), 0
    for _, paid in attention.slabs(layer.rows):
        total = total + paid.sum(dim=(1, 2))
        rows += paid.shape[1] * paid.shape[2]
    seen = (total / rows).float()
    return seen[:, layer.prefix :], seen[:, : layer.prefix].sum(dim=1)
