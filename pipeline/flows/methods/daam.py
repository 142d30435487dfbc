"""Dynamic Accumulated Attention Map (arXiv 2503.14640): one map per layer.

The attention writes T[r] = Σ_j a[r, j]·v[j] into the tokens r that are read later. With the
gradient g[r] of what is explained with respect to T[r], patch j of a layer gets

    map[j] = ReLU( Σ_heads Σ_r a[r, j] · ⟨v[j], g[r]⟩ ),

supervised (explaining a logit) with ReLU(g) in place of g, self-supervised with g itself.

T is the attention's own output, where Σ_j a·v = T holds whatever the model does to it before the
projection. For plain models that is the projection's input, as in the paper. A positive gate
behind it changes nothing (gating g or v is the same); for a norm behind it (sub-LN) the gradient
goes through the norm.
"""

from functools import partial

import torch
from torch import Tensor, nn

from pipeline.flows.flow import Flow, check_targets
from pipeline.flows.products import accumulates, per_head
from pipeline.flows.recording import Attention, Recording
from pipeline.flows.references.gallery import Gallery
from pipeline.flows.transformer import TransformerMethod, graphs
from pipeline.models import Layer, embed


class Daam(TransformerMethod):
    """DAAM (arXiv 2503.14640) of a vision transformer; self-supervised if it has a bank.

    map[j] = ReLU(Σ_heads Σ_r a[r, j] · ⟨v[j], g[r]⟩) for every patch j of every layer, with the
    symbols of :mod:`pipeline.flows.methods.daam`. The readout rows r depend on what the classifier
    reads: the class token; class and distillation token (the map sums over both, as the logits
    do); all pooled patches for mean or maximum pooling, a few rows at a time, so that no N × N
    matrix is ever whole; the class token of the class-attention layers (CaiT, XCiT), which are
    then the only layers. With an attention pool (SigLIP) the rows of every block are all tokens
    that the pool attends to, and the pool itself is one more layer, ``attn_pool``, whose row is
    its latent query.

    Parameters
    ----------
    model
        A vision transformer in evaluation mode, of timm or any other library.
    bank, bank_labels
        (M, C) features of M reference images and (M,) their integer labels. With them the model
        needs no head: the score is ⟨f, w⟩ of the embedding f with the constant
        w = minmax_c(f̂ ⊙ ĝ), the mean over the nearest neighbours g with the explained label; see
        :class:`pipeline.flows.references.gallery.Gallery`.
    k
        Number of neighbours that vote.
    temperature
        Of the votes exp(similarity / temperature).
    relu
        Whether g is cut at zero; by default it is without a bank and is not with one.

    Raises
    ------
    UnsupportedModel
        See :func:`pipeline.models.anatomy`; or the model has no head and there is no bank.
    ValueError
        Bank and labels do not fit each other.

    Examples
    --------
    >>> with create_flow("daam", model) as flow:
    ...     maps = flow(images).maps  # (B, L, h, w)
    """

    def __init__(
        self,
        model: nn.Module,
        bank: Tensor | None = None,
        bank_labels: Tensor | None = None,
        k: int = 20,
        temperature: float = 0.07,
        relu: bool | None = None,
    ) -> None:
        super().__init__(model)
        if (bank is None) != (bank_labels is None):
            raise ValueError("give bank and bank_labels together, or neither")
        self._bank = None
        if bank is not None and bank_labels is not None:
            self._bank = Gallery(bank, bank_labels, by="neighbours", k=k, temperature=temperature)
        else:
            self.require_head("give a bank of reference features (flow.references)")
        self._relu = relu if relu is not None else self._bank is None

    def __call__(
        self, images: Tensor, targets: Tensor | None = None, exclude: Tensor | None = None
    ) -> Flow:
        """Return the flow of a batch; every image's maps are independent of its batch mates.

        Parameters
        ----------
        images
            (B, 3, H, W) float, normalised, on the model's device.
        targets
            (B,) integer classes to explain (labels of the bank, if there is one); the predicted
            ones if None.
        exclude
            (B,) the image of the bank that each image is not compared with, such as itself; -1
            for none.

        Returns
        -------
        Flow
            ``maps`` (B, L, h, w) float32; ``logits`` (B, C), with a bank the logarithms of the
            labels' votes. Extras: ``prefix_mass`` (B, L), the share [0, 1] of the readout rows'
            attention that prefix tokens keep (mean over heads and rows), and ``token_norm``
            (B, h, w), the L2 norm of the last block's patch tokens.

        Raises
        ------
        ValueError
            Targets that are no classes, or a flow used outside its context.
        UnsupportedModel
            The first batch shows an attention that is no weighted sum of values.
        """
        self.require_open(images)
        classes = self._anatomy.num_classes if self._bank is None else self._bank.classes
        check_targets(targets, len(images), classes)
        with graphs():
            recording, score, logits, target = self._ask(images, targets, exclude)
            gradients = self.gradients(recording, score)
            self._verified = True
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return self._flow(recording, gradients, logits, target)

    def _ask(
        self, images: Tensor, targets: Tensor | None, exclude: Tensor | None
    ) -> tuple[Recording, Tensor, Tensor, Tensor]:
        """Return the forward pass, the number to differentiate, logits and targets."""
        if self._bank is not None:
            recording = self.record(images, partial(embed, self._model))
            with torch.autocast(images.device.type, enabled=False):
                answer = self._bank.ask(recording.result.detach(), targets, exclude)
                score = (recording.result.float() * answer.weights(signed=False)).sum()
            return recording, score, answer.logits, answer.target
        recording = self.record(images)
        logits, target = self.target_logits(recording, targets)
        return recording, logits.gather(1, target[:, None]).sum(), logits.detach().float(), target

    def _flow(
        self,
        recording: Recording,
        gradients: tuple[Tensor, ...],
        logits: Tensor,
        target: Tensor,
    ) -> Flow:
        layers, grid = self._anatomy.layers, recording.grid
        found = [
            _contribution(attention, layer, gradient.relu() if self._relu else gradient)
            for attention, layer, gradient in zip(
                recording.attentions, layers, gradients, strict=True
            )
        ]
        return Flow(
            maps=torch.stack([gain for gain, _ in found], dim=1).view(len(target), -1, *grid),
            layers=self._anatomy.names,
            logits=logits,
            target=target,
            extras={
                "prefix_mass": torch.stack([kept for _, kept in found], dim=1),
                **self.token_norm(recording),
            },
        )


def _contribution(attention: Attention, layer: Layer, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return ReLU(Σ_h Σ_r a·⟨v, g⟩) of the patches, (B, n), and the prefix's share, (B,).

    ``gradient`` is g (B, H, Q, d). Few rows of a exist at a time.
    """
    images, _, keys, _ = attention.key.shape
    exact = torch.promote_types(gradient.dtype, torch.float32)
    total, kept = gradient.new_zeros(images, keys, dtype=exact), gradient.new_zeros(images)
    value, read = attention.value, 0
    as_it_is = accumulates(value) and gradient.dtype == value.dtype
    if not as_it_is:
        value = value.to(exact)
    for part, paid in attention.slabs(layer.rows):
        slope = gradient[:, :, part]
        if slope.shape[2] >= slope.shape[3]:  # the cheaper order of (Aᵀ G)·v for many rows
            total += ((paid.transpose(-2, -1) @ slope.to(exact)) * value).sum(dim=(1, 3))
        elif as_it_is:  # and of a·⟨v, g⟩ for few
            total += (paid * per_head(slope, value)).sum(dim=(1, 2))
        else:
            slope = slope.to(exact)
            total += (paid * (value @ slope.transpose(-2, -1)).transpose(-2, -1)).sum(dim=(1, 2))
        kept = kept + paid[..., : layer.prefix].sum(dim=(1, 2, 3))
        read += paid.shape[1] * paid.shape[2]
    return total[:, layer.prefix :].relu().float(), (kept / read).float()
