"""Neuron Abandoning Attention Flow (arXiv 2412.01202) of convolutional networks.

From the last feature map back to the first, every layer is inverted: what would it have had to
receive, at least, to give what the next one used? Neurons whose importance (the derivative of
the explained logit) is zero are abandoned on the way. With x_l the points of the trunk, finest
ones, each an operation's output or a block's,

    BPFM_{l−1} = inverse_l(BPFM_l) ⊙ [importance_{l−1} ≠ 0]
    map_l = Σ_c ReLU(BPFM_l ⊙ importance_l)

starting from the last feature map itself; maps are published for the input of every layer but
the first and for the last feature map. How we read the paper where it leaves room:

* One principle for all layers: ``inverse`` is the smallest least-squares solution of the layer
  linearised at its actual input, J x = y − f(x₀) + J x₀. For convolutions that is A x = y − bias.
  Where it has a closed form (:mod:`pipeline.flows.solvers.closed_form`) no system is solved.
* Nothing is special about a family: a block that no inner point cuts (a residual branch with its
  shortcut, Inception's branches, a dense block, squeeze and excitation with its gate) is one
  layer and is linearised as a whole. A concatenation at its end thereby splits by itself.
* A residual sum at the end of a block is split by the shares |a| : |b| that its two parts had in
  the forward pass, a′ = a + |a|/(|a| + |b|) · (y′ − a − b), so the block's input has to explain
  both parts; abandoned sums are split into zeros.
* A layer with fewer outputs than inputs is merged with the layers before it, back to the nearest
  point that has no more elements than it gives equations. Layers inside get the values that the
  solved input takes there. If there is no such point the layer is inverted by itself: the
  smallest solution is defined anyway.

A model without a classifier decides by similarity to references: the score is ⟨f, w⟩ of its
embedding f, with the constant w = minmax_c(f̂ ⊙ ĝ), so the importance is one VJP of w.

``released`` is what the authors' published code computes, which never inverts: activation ×
gradient, map_l = Σ_c ReLU(x_l ⊙ ∂s/∂x_l).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.flows.flow import Flow
from pipeline.flows.layers import Answer, LayerMethod, Observation, Pass, Question, as_a_pair
from pipeline.flows.references.gallery import By, Gallery
from pipeline.flows.solvers.neuron_abandoning import walk_back
from pipeline.models.structure.logits import gradients_of
from pipeline.models.structure.tape import working
from pipeline.models.structure.tokens import has_tokens
from pipeline.models.structure.trunk import Trunk


class NaFlow(LayerMethod):
    """NAFlow (arXiv 2412.01202) of a convolutional network.

    map_l = Σ_c ReLU(BPFM_l ⊙ importance_l), with BPFM_{l−1} = inverse_l(BPFM_l) ⊙
    [importance_{l−1} ≠ 0] from the last feature map to the first; see
    :mod:`pipeline.flows.methods.naflow` for the inverses.

    Parameters
    ----------
    model, grid
        See :class:`pipeline.flows.layers.LayerMethod`.
    mode
        ``inverse``, the method, or ``released``, its published code.
    iterations
        Most steps of the solver per layer. On photographs and MobileNetV2 10 steps rank places as
        30 do (rank correlation 0.96 averaged over layers, 0.99 of the accumulated flow); stopping
        early also keeps small singular values out.
    tolerance
        A layer of an image is solved when ‖Aᵀr‖ has fallen to this part of ‖Aᵀb‖.
    damping
        ≥ 0; adds damping² ‖x‖² to what is minimised.
    references, reference_labels
        (M, D) embeddings of reference images and (M,) their labels: explain the similarity to
        them instead of a logit.
    by, k, temperature, n_way, k_shot, seed
        What an image is compared with; see :class:`pipeline.flows.references.gallery.Gallery`.

    Raises
    ------
    ConfigError
        There is no such mode, or references come without labels.
    UnsupportedModel
        The model is a transformer.

    Examples
    --------
    >>> with create_flow("naflow", model) as flow:
    ...     result = flow(images)  # maps (B, L, h, w), extras["residual"] (B, L)
    """

    def __init__(
        self,
        model: nn.Module,
        mode: Literal["inverse", "released"] = "inverse",
        grid: Sequence[int] | None = None,
        iterations: int = 10,
        tolerance: float = 1e-3,
        damping: float = 0.0,
        references: Tensor | None = None,
        reference_labels: Tensor | None = None,
        by: By = "prototypes",
        k: int = 20,
        temperature: float | None = None,
        n_way: int | None = None,
        k_shot: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(model, grid)
        if mode not in ("inverse", "released"):
            raise ConfigError(f"naflow has no mode {mode!r}; use inverse or released")
        if has_tokens(model):
            raise UnsupportedModel(
                f"{type(model).__name__} is a transformer; use daam, or gradcam for its layers"
            )
        self._mode = mode
        self._iterations, self._tolerance, self._damping = iterations, tolerance, damping
        if (references is None) != (reference_labels is None):
            raise ConfigError("naflow needs references and reference_labels together; give both")
        self._gallery = None
        if references is not None and reference_labels is not None:
            self._gallery = Gallery(
                references,
                reference_labels,
                by=by,
                k=k,
                temperature=temperature,
                n_way=n_way,
                k_shot=k_shot,
                seed=seed,
            )

    @as_a_pair
    def __call__(
        self, images: Tensor, targets: Tensor | None = None, exclude: Tensor | None = None
    ) -> Flow:
        """Return the flow of a batch; every image's maps are independent of its batch mates.

        Parameters
        ----------
        images
            (B, 3, H, W) float, normalised, on the model's device.
        targets, exclude
            (B,) integer classes to explain; the predicted ones if None. With references their
            labels, and the reference to leave out for each image; see
            :meth:`pipeline.flows.references.gallery.Gallery.ask`.

        Returns
        -------
        Flow
            ``maps`` (B, L, h, w) from the first layer to the last feature map; ``native`` the
            layers' own sizes. Extras of ``inverse``: ``residual`` (B, L) in [0, 1], the relative
            residual ‖A x − b‖ / ‖b‖ of the inversion of every layer, 0 where it is exact.
        """
        question = self._compared(targets, exclude) if self._gallery else self.predicted(targets)
        if self._mode == "released":
            seen = self.observe(images, question)
            released = tuple(map(_map, seen.activations, seen.gradients))
            return self.flow(released, seen, images.shape[-2:])
        with self.passing(images) as pixels:
            trunk = self.trunk(pixels)
            if any(trunk.layout.channels_last):
                raise UnsupportedModel(
                    f"{type(self._model).__name__} is a transformer of several resolutions; "
                    "use gradcam, or mode: released"
                )
            answer = question(trunk)
            points = [segment.target for segment in trunk.segments]
            importance = gradients_of(answer.score, points, self._model)
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(images.device.type, enabled=False),
        ):
            backward = walk_back(
                trunk,
                importance,
                iterations=self._iterations,
                tolerance=self._tolerance,
                damping=self._damping,
            )
        seen = Observation(trunk.layers, (), (), answer)
        native = [_map(backward.maps[place], working(importance[place])) for place in trunk.places]
        residual = torch.stack([backward.residuals[place] for place in trunk.places], dim=1)
        return self.flow(native, seen, images.shape[-2:], {"residual": residual})

    def _compared(self, targets: Tensor | None, exclude: Tensor | None) -> Question:
        """Ask for the similarity to references, by the weights of the embedding's channels."""

        def question(seen: Pass) -> Answer:
            assert isinstance(seen, Trunk)
            assert self._gallery is not None
            if not hasattr(self._model, "forward_head"):
                raise UnsupportedModel(
                    f"{type(self._model).__name__} has no forward_head, so it is not known what "
                    "its classifier reads; use a model of timm"
                )
            embedding = self._model.forward_head(seen.features, pre_logits=True)  # type: ignore[operator]
            likeness = self._gallery.ask(embedding, targets, exclude)
            score = (embedding * likeness.weights(signed=False)).sum()
            return Answer(score, likeness.logits, likeness.target)

        return question


def _map(activation: Tensor, importance: Tensor) -> Tensor:
    """Return Σ_c ReLU(activation ⊙ importance), (B, h, w), from (B, C, h, w) each."""
    return (activation * importance).relu().sum(dim=1)
