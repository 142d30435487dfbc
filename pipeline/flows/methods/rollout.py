"""Attention rollout (Abnar and Zuidema, arXiv 2005.00928): attention followed through layers."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.errors import UnsupportedModel
from pipeline.flows.flow import Flow, check_targets
from pipeline.flows.recording import Recording, slab
from pipeline.flows.transformer import TransformerMethod, graphs
from pipeline.models import Anatomy


class Product(TransformerMethod):
    """A method that multiplies square matrices, one per layer, from the first layer on.

    N × N matrices of all heads are formed for a few images at a time.

    Parameters
    ----------
    model
        A vision transformer in evaluation mode that reads a token or its patches' mean.

    Raises
    ------
    UnsupportedModel
        See :func:`pipeline.models.anatomy`; or the readout is an attention of its own, so
        that its layers are no square matrices over the same tokens.
    """

    def accepted(self, found: Anatomy) -> Anatomy:
        """Return the anatomy of a model whose readout is no attention of its own."""
        if found.readout in ("pool", "class attention"):
            raise UnsupportedModel(
                f"{found.name} reads its patches through an attention with a query of its "
                "own, which is no matrix over one set of tokens to be multiplied with the others; "
                "use flow.method daam or attention"
            )
        return found

    def parts(self, recording: Recording) -> Iterator[slice]:
        """Yield the images a few at a time, so that all heads' N × N matrices fit a slab."""
        images, heads, tokens, _ = recording.attentions[0].query.shape
        step = max(1, slab(recording.attentions[0].key.device) // (heads * tokens * tokens))
        for start in range(0, images, step):
            yield slice(start, start + step)

    def read(self, matrix: Tensor) -> Tensor:
        """Return the mean of the readout rows over the patches, (b, n), of a matrix (b, N, N)."""
        layer = self._anatomy.layers[-1]
        return matrix[:, layer.rows, layer.prefix :].mean(dim=1)

    def flow(self, recording: Recording, maps: list[Tensor], targets: Tensor | None) -> Flow:
        """Return the flow of the images' maps (b, L, n)."""
        logits, target = self.target_logits(recording, targets)
        return Flow(
            maps=torch.cat(maps).float().view(len(target), -1, *recording.grid),
            layers=self._anatomy.names,
            logits=logits.detach().float(),
            target=target,
            extras=self.token_norm(recording),
        )


class Rollout(Product):
    """Attention rollout; see :class:`Product` for parameters and errors.

    With A_b the head mean of a layer's attention, R_b = ½(A_b + I)·R_{b−1} and R_0 = I; rows sum
    to 1 (arXiv 2005.00928, section "Attention rollout"). The map of layer b is the **rollout up to
    that layer**: the mean of R_b's readout rows, at the patches. So maps are already accumulated;
    their running sum is a sum of rollouts, and the paper's map is the last layer's own. Forward
    only; the maps do not depend on the target.

    Examples
    --------
    >>> with create_flow("rollout", model) as flow:
    ...     total = flow(images).maps[:, -1]  # (B, h, w)
    """

    targeted = False
    """Maps are the same whatever class is asked for."""

    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W)."""
        self.require_open(images)
        check_targets(targets, len(images), max(1, self._anatomy.num_classes))
        with graphs():
            recording = self.record(images, graph=False, every_row=True)
        self._verified = True
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            maps = [self._maps(recording, part) for part in self.parts(recording)]
            return self.flow(recording, maps, targets)

    def _maps(self, recording: Recording, part: slice) -> Tensor:
        """Return the maps of some images, (b, L, n)."""
        maps, product = [], None
        for attention in recording.attentions:
            matrix = attention.of(part).rows(slice(0, None)).mean(dim=1)
            matrix.diagonal(dim1=1, dim2=2).add_(1)
            product = matrix / 2 if product is None else matrix @ product / 2
            maps.append(self.read(product))
        return torch.stack(maps, dim=1)
