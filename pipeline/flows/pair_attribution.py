"""Attribution of a similarity to pairs of patches, by integrated Jacobians.

Möller, Nikolaev and Padó 2023, *An Attribution Method for Siamese Encoders* (arXiv 2310.05703,
section 2). With e(x) the embedding as a function of the tokens x at a layer, and r the tokens of a
reference image, the similarity f(a, b) = ⟨e(a), e(b)⟩ is a sum over pairs of tokens:

    f(a, b) − f(a, r) − f(r, b) + f(r, r) = Σ_i Σ_j A_ij,
    A_ij = ⟨J_a,i (a − r)_i, J_b,j (b − r)_j⟩,

where J_a,i is the Jacobian ∂e/∂x_i, integrated along the straight line from r to a: its mean over
the midpoints of N equal steps. The cosine is the same, divided by the lengths of e(a) and e(b).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.flows.session import Session
from pipeline.flows.transformer import graphs
from pipeline.models import unwrapped
from pipeline.models.structure.embedding import Kind
from pipeline.models.structure.split_encoder import Places, SplitEncoder

PairSimilarity = Literal["cosine", "dot"]

FIRST_STEPS = 4
"""Steps that are tried first; then three times as many, whose midpoints contain the first ones."""

_POINTS = 8
"""Points of the line that are differentiated at once."""


@dataclass
class EncodedImage:
    """An image at the layer: ``values`` are the layer's (without a batch), ``embedding`` (D,).

    ``sums`` keeps, by number of steps, what its tokens add to the embedding, times that number:
    (tokens, D) float64.
    """

    values: Tensor
    embedding: Tensor
    sums: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class PairFlow:
    """The similarity of two images as a sum over pairs of tokens.

    Attributes
    ----------
    matrix
        (tokens, tokens) float64: A_ij, tokens of the query by those of the gallery image.
    places
        Where the tokens lie on the images.
    similarity
        f(a, b).
    query_reference, gallery_reference, references
        f(a, r), f(r, b) and f(r, r).
    steps
        Steps of the integral.
    """

    matrix: Tensor
    places: Places
    similarity: float
    query_reference: float
    gallery_reference: float
    references: float
    steps: int

    @property
    def attributed(self) -> float:
        """Σ A."""
        return float(self.matrix.sum())

    @property
    def error(self) -> float:
        """What is missing of completeness, as a share of the similarity.

        |Σ A + f(a, r) + f(r, b) − f(r, r) − f(a, b)| ÷ |f(a, b)|; infinite where the similarity is
        zero and something is missing, NaN where it is not defined.
        """
        known = self.query_reference + self.gallery_reference - self.references
        missing = abs(self.attributed + known - self.similarity)
        if self.similarity == 0:
            return float("inf") if missing else 0.0
        return missing / abs(self.similarity)

    @property
    def patches(self) -> Tensor:
        """A without the tokens that are no patches, (patches, patches)."""
        prefix = self.places.num_prefix_tokens
        return self.matrix[prefix:, prefix:]

    @property
    def query_map(self) -> Tensor:
        """What each patch of the query gives, with any token of the other image, (h, w)."""
        return self.matrix.sum(1)[self.places.num_prefix_tokens :].view(self.places.grid)

    @property
    def gallery_map(self) -> Tensor:
        """What each patch of the gallery image gives, with any token of the query, (h, w)."""
        return self.matrix.sum(0)[self.places.num_prefix_tokens :].view(self.places.grid)

    def strongest(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pairs of patches with the most, and A of each: query, gallery, values.

        At most ``count``, all positive, the strongest first; of equal ones the first.
        """
        flat = self.patches.flatten()
        values, order = torch.sort(flat, descending=True, stable=True)
        kept = min(count, int((values > 0).sum()))
        places = order[:kept]
        width = self.patches.shape[1]
        return places // width, places % width, values[:kept]


class PairAttribution(Session):
    """Integrated Jacobians of an encoder (arXiv 2310.05703), behind one of its layers.

    Parameters
    ----------
    model
        A timm model in evaluation mode, with or without a head.
    layer
        The module whose outputs are the tokens: a block of a transformer, a stage of a
        convolutional network. By default the block at three quarters of the depth, the last
        stage.
    embedding
        ``model``: what a classifier reads; ``pooled``: the mean of the last activations.
    similarity
        ``cosine`` or ``dot``, of the embeddings.
    tolerance
        Share of the similarity that may be missing; see :attr:`PairFlow.error`.
    most_steps
        Steps that are not exceeded, whatever is missing.

    Raises
    ------
    ConfigError
        The model has no such layer.
    UnsupportedModel
        It has no embedding.

    Examples
    --------
    >>> with PairAttribution(model) as pairs:
    ...     query, other = pairs.encode(image), pairs.encode(another)
    ...     found = pairs.explain(query, other)
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str | None = None,
        embedding: Kind = "model",
        similarity: PairSimilarity = "cosine",
        tolerance: float = 0.01,
        most_steps: int = 108,
    ) -> None:
        model = unwrapped(model)
        super().__init__(model)
        if similarity not in ("cosine", "dot"):
            raise ValueError(f"there is no similarity {similarity!r}; use cosine or dot")
        self._encoder = SplitEncoder(model, layer, embedding)
        self._similarity, self._tolerance, self._most = similarity, tolerance, most_steps
        self._places: Places | None = None
        self._blank: Tensor | None = None
        self._reference: EncodedImage | None = None

    @property
    def layer(self) -> str:
        """The module whose outputs are the tokens."""
        return self._encoder.layer

    def encode(self, image: Tensor) -> EncodedImage:
        """Run an image (3, H, W), normalised and on the model's device, up to its embedding.

        The first one also shows where the layer's values lie on the image; all must have its size.

        Raises
        ------
        UnsupportedModel
            They do not lie on the image, or something bypasses the layer.
        ValueError
            Outside the context, or another size.
        """
        images = image[None].detach()
        with self._lock, graphs(), self._exact(image):
            self.require_open(images)
            if self._blank is None:
                blank = torch.zeros_like(images)
                self._places = self._encoder.places(images)
                self._reference = self._encoded(blank)
                self._blank = blank
            elif self._blank.shape != images.shape:
                raise ValueError(
                    f"images of a pair must have one size, not {tuple(self._blank.shape[1:])} and "
                    f"{tuple(image.shape)}"
                )
            return self._encoded(images)

    def explain(self, query: EncodedImage, gallery: EncodedImage) -> PairFlow:
        """Share the similarity of two encoded images out to pairs of their tokens.

        Steps are multiplied by three until what is missing is tolerable, or there would be more
        than the most; they depend on this pair alone.
        """
        with self._lock, graphs(), self._exact(query.values):
            steps = FIRST_STEPS
            while True:
                found = self._pair(query, gallery, steps)
                if found.error <= self._tolerance or steps * 3 > self._most:
                    return found
                steps *= 3

    @staticmethod
    def _exact(values: Tensor) -> torch.autocast:
        """Keep the model's own precision, whatever the caller's."""
        return torch.autocast(values.device.type, enabled=False)

    def _encoded(self, images: Tensor) -> EncodedImage:
        values, embeddings = self._encoder.split(images)
        return EncodedImage(values[0].detach(), embeddings[0].detach().double())

    def _pair(self, query: EncodedImage, gallery: EncodedImage, steps: int) -> PairFlow:
        assert self._reference is not None
        assert self._places is not None
        a, b, r = (one.embedding for one in (query, gallery, self._reference))
        scale = 1.0 if self._similarity == "dot" else 1 / float(a.norm() * b.norm())
        sums = [self._summed(one, steps) / steps for one in (query, gallery)]
        return PairFlow(
            matrix=sums[0] @ sums[1].T * scale,
            places=self._places,
            similarity=float(a @ b) * scale,
            query_reference=float(a @ r) * scale,
            gallery_reference=float(r @ b) * scale,
            references=float(r @ r) * scale,
            steps=steps,
        )

    def _summed(self, image: EncodedImage, steps: int) -> Tensor:
        """Return Σ_k J_i(x_k) (x − r)_i over the steps' midpoints x_k, (tokens, D) float64."""
        if steps not in image.sums:
            total = self._summed(image, steps // 3).clone() if steps > FIRST_STEPS else None
            # The midpoints of a third of the steps are every third midpoint, from the second on.
            new = [k for k in range(steps) if total is None or k % 3 != 1]
            for start in range(0, len(new), _POINTS):
                part = self._differentiated(
                    image, [k + 0.5 for k in new[start : start + _POINTS]], steps
                )
                total = part if total is None else total + part
            assert total is not None
            image.sums[steps] = total
        return image.sums[steps]

    def _differentiated(self, image: EncodedImage, places: list[float], steps: int) -> Tensor:
        """Return the sum over some points of the line, (tokens, D) float64."""
        assert self._reference is not None
        assert self._places is not None
        assert self._blank is not None
        start = self._reference.values
        along = torch.tensor(places, dtype=start.dtype, device=start.device) / steps
        change = (image.values - start)[None]
        points = (start + along.view(-1, *[1] * start.ndim) * change).requires_grad_()
        blank = self._blank.expand(len(points), -1, -1, -1)
        embeddings = self._encoder.embed(points, blank)
        columns = [
            self._places.of_tokens(gradient * change).double().sum(0)
            for gradient in self._gradients(embeddings, points)
        ]
        return torch.stack(columns, dim=1)

    def _gradients(self, embeddings: Tensor, points: Tensor) -> Iterator[Tensor]:
        """Yield the gradient of every channel of the embeddings, summed over the points."""
        channels = embeddings.shape[1]
        if not embeddings.requires_grad:
            raise UnsupportedModel(
                f"{type(self._model).__name__} cuts the gradient behind {self.layer} (detach, or "
                "torch.no_grad in its forward); remove that"
            )
        for channel in range(channels):
            (gradient,) = torch.autograd.grad(
                embeddings[:, channel].sum(), points, retain_graph=channel + 1 < channels
            )
            yield gradient
