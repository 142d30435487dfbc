"""DAAM of transformers that attend within windows, to pooled tokens, or at several resolutions."""

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.flows.flow import Flow, Method, check_targets
from pipeline.flows.methods.daam import Daam
from pipeline.flows.recording import Attention, check_sum
from pipeline.flows.resample import on_one_grid
from pipeline.flows.session import Session, fused
from pipeline.flows.transformer import graphs
from pipeline.models.structure.attention_calls import AttentionCalls, Call
from pipeline.models.structure.logits import gradients_of, logits_of
from pipeline.models.structure.windows import Windows, find_windows, has_heads, split


def daam(
    model: nn.Module,
    bank: Tensor | None = None,
    bank_labels: Tensor | None = None,
    k: int = 20,
    temperature: float = 0.07,
    relu: bool | None = None,
) -> Method:
    """Return DAAM of a model: of one resolution (:class:`Daam`), or window by window.

    Options are those of :class:`pipeline.flows.methods.daam.Daam`. A bank of references needs a
    model of one resolution.

    Raises
    ------
    UnsupportedModel
        See both classes; of a model without attention heads the reason of the first.

    Examples
    --------
    >>> with create_flow("daam", model) as flow:
    ...     maps = flow(images).maps  # (B, L, h, w)
    """
    try:
        return Daam(model, bank, bank_labels, k, temperature, relu)
    except UnsupportedModel:
        headless = int(getattr(model, "num_classes", 1)) < 1
        if bank is not None or headless or not any(map(has_heads, model.modules())):
            raise
    return WindowedDaam(model, relu is not False)


class WindowedDaam(Session):
    """DAAM (arXiv 2503.14640), window by window: map[j] = ReLU(Σ_heads Σ_r a[r, j]·⟨v[j], g[r]⟩).

    In every window of every layer T[r] = Σ_j a[r, j]·v[j] holds as in a plain transformer, with j
    the keys of the window. So each key has its share of ⟨T, g⟩, and a layer's map has it at the
    key's cell of the image, whatever window that is in; symbols are those of
    :mod:`pipeline.flows.methods.daam`, with g = ReLU(∂logit/∂T). The rows r are all queries of a
    model that pools its patches, the class token of one that reads that. Where keys are pooled, a
    map has the cells of the pooled keys. Every attention is a layer, named by its module.

    Parameters
    ----------
    model
        A network in evaluation mode; its attentions are found at the first images of a size
        (:mod:`pipeline.models.structure.windows`).
    relu
        Whether g is cut at zero.

    """

    def __init__(self, model: nn.Module, relu: bool = True) -> None:
        super().__init__(model)
        self._relu = relu
        self._found: dict[torch.Size, tuple[Windows, ...]] = {}
        self._verified: set[torch.Size] = set()

    def prepare(self, session: ExitStack) -> None:
        """Freeze the model and switch to the attention that can be recorded."""
        super().prepare(session)
        session.enter_context(fused(self._model))

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W) for targets (B,), the predicted if None.

        ``maps`` (B, L, h, w) float32; ``native`` the layers' own grids where they differ. Extras:
        ``prefix_mass`` (B, L) where all layers have tokens besides the patches: the share of the
        read rows' attention that goes there.

        Raises
        ------
        ValueError
            Targets that are no classes, or a flow used outside its context.
        UnsupportedModel
            See :func:`pipeline.models.structure.windows.find_windows`; or the first batch shows an
            attention that is no weighted sum of values.
        """
        self.require_open(images)
        size = images.shape[-2:]
        if size not in self._found:
            self._found[size] = find_windows(self._model, images.detach())
        layers = self._found[size]
        with graphs():
            recorder = _Recorder(len(images))
            with recorder:
                result = self._model(images.detach())
            logits = logits_of(result, self._model)
            check_targets(targets, len(images), logits.shape[1])
            target = (logits.argmax(1) if targets is None else targets.to(logits.device)).long()
            if len(recorder.attentions) != len(layers):
                raise UnsupportedModel(
                    f"{type(self._model).__name__} ran {len(recorder.attentions)} attentions where "
                    f"it has {len(layers)}; use flow.method gradcam or input_gradient"
                )
            score = logits.gather(1, target[:, None]).sum()
            gradients = gradients_of(score, recorder.outputs, self._model)
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            if size not in self._verified:
                for layer, attention in zip(layers, recorder.attentions, strict=True):
                    check_sum(type(self._model).__name__, layer.name, attention, layer.rows)
                self._verified.add(size)
            found = [
                _map(attention, layer, split(g).relu() if self._relu else split(g), len(images))
                for attention, layer, g in zip(recorder.attentions, layers, gradients, strict=True)
            ]
        maps, native = on_one_grid([own for own, _ in found], size, None)
        extras = {}
        if all(layer.prefix for layer in layers):
            extras["prefix_mass"] = torch.stack([kept for _, kept in found], dim=1)
        return Flow(
            maps=maps,
            layers=tuple(layer.name for layer in layers),
            logits=logits.detach().float(),
            target=target,
            extras=extras,
            native=native,
        )


def _map(
    attention: Attention, layer: Windows, gradient: Tensor, images: int
) -> tuple[Tensor, Tensor]:
    """Return a layer's map (B, h, w), and the share (B,) that the prefix keeps."""
    exact = torch.promote_types(gradient.dtype, torch.float32)
    value = attention.value.to(exact)
    total = torch.zeros(value.shape[:3], dtype=exact, device=value.device)
    kept, read = torch.zeros((), dtype=exact, device=value.device), 0
    for part, paid in attention.slabs(layer.rows):
        slope = gradient[:, :, part].to(exact)
        total += ((paid.transpose(-2, -1) @ slope) * value).sum(dim=3)
        kept = kept + paid[..., : layer.prefix].sum(dim=(2, 3)).view(images, -1).sum(dim=1)
        read += paid.shape[1] * paid.shape[2] * len(paid) // images
    cells = total.view(images, -1, total.shape[2])[:, :, layer.prefix :].flatten(1)
    # A fixed order of sums, so that an image's map does not depend on the device's scheduling.
    placed = cells[:, layer.order].sum(dim=2).relu().float()
    return placed.view(images, *layer.grid), (kept / read).float()


class _Recorder(AttentionCalls):
    """Keeps every attention of a pass; the graph begins at the output of the first."""

    def __init__(self, images: int) -> None:
        super().__init__(images)
        self.attentions: list[Attention] = []
        self.outputs: list[Tensor] = []

    def see(self, call: Call, output: Tensor) -> Tensor:
        if not output.requires_grad:  # the first of all, or of another branch
            output = output.detach().requires_grad_()
        self.outputs.append(output)
        if call.mask is not None and call.query.ndim > 4:
            raise UnsupportedModel(
                "the model masks its attention within windows of five dimensions; use flow.method "
                "gradcam or input_gradient"
            )
        tensors = (call.query, call.key, call.value, output)
        query, key, value, kept = (split(tensor.detach()) for tensor in tensors)
        weights = None if call.weights is None else split(call.weights.detach())
        self.attentions.append(Attention(query, key, value, call.mask, call.scale, kept, weights))
        return output
