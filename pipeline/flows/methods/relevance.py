"""Relevance of patches by gradient × attention (Chefer et al., arXiv 2103.15679)."""

import torch
from torch import Tensor, nn

from pipeline.flows.flow import Flow, check_targets
from pipeline.flows.methods.rollout import Product
from pipeline.flows.recording import Recording
from pipeline.flows.transformer import graphs


class Relevance(Product):
    """Generic attention relevance; see :class:`pipeline.flows.methods.rollout.Product`.

    With ∇A = ∂Y/∂A the gradient of the explained logit, Ā_b = mean over heads of
    ReLU(∇A_b ⊙ A_b), R_b = R_{b−1} + Ā_b·R_{b−1} and R_0 = I (the paper's equations 5 and 6).
    Attention stays fused: ∇A[h, r, j] = ⟨g[h, r], v[h, j]⟩ with g the gradient at the
    attention's output.

    The map of layer b is what that layer **adds**: the mean over the readout rows of
    Ā_b·R_{b−1}, over the patches; it is never negative. So the accumulated flow at layer b is
    the relevance up to that layer, and at the last layer the paper's map.

    Examples
    --------
    >>> with create_flow("relevance", model) as flow:
    ...     total = accumulate(flow(images).maps)[:, -1]  # (B, h, w)
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.require_head("use flow.method attention, rollout, or daam with a bank")

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W) for targets (B,), the predicted if None."""
        self.require_open(images)
        check_targets(targets, len(images), self._anatomy.num_classes)
        with graphs():
            recording = self.record(images, every_row=True)
            logits, target = self.target_logits(recording, targets)
            score = logits.gather(1, target[:, None]).sum()
            gradients = self.gradients(recording, score)
        self._verified = True
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            maps = [self._maps(recording, gradients, part) for part in self.parts(recording)]
            return self.flow(recording, maps, target)

    def _maps(self, recording: Recording, gradients: tuple[Tensor, ...], part: slice) -> Tensor:
        """Return the maps of some images, (b, L, n)."""
        maps, product = [], None
        for attention, gradient in zip(recording.attentions, gradients, strict=True):
            some = attention.of(part)
            paid = some.rows(slice(0, None))
            slope = gradient[part].to(paid.dtype) @ some.value.to(paid.dtype).transpose(-2, -1)
            matrix = (slope * paid).relu().mean(dim=1)
            added = matrix if product is None else matrix @ product
            if product is None:
                product = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
            product = product + added
            maps.append(self.read(added))
        return torch.stack(maps, dim=1)
