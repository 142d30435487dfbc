"""The gradient of the logit at the image itself (arXiv 1312.6034), for any model."""

from torch import Tensor

from pipeline.flows.flow import Flow
from pipeline.flows.layers import LayerMethod, Observation, answer_of, as_a_pair
from pipeline.models.structure.logits import gradients_of, logits_of


class InputGradient(LayerMethod):
    """Σ_c |∂s/∂x_c| over the colour channels of the normalised image x: one layer, ``input``.

    The saliency of arXiv 1312.6034, section 3.1, which takes the maximum over c. The sum adds up
    over pixels instead: a cell's value is the gradient's L1 norm over its pixels. ``native`` holds
    the map in pixels.

    Parameters
    ----------
    model, grid
        See :class:`pipeline.flows.layers.LayerMethod`; the default grid has cells of 16 × 16
        pixels.

    Examples
    --------
    >>> with create_flow("input_gradient", model) as flow:
    ...     pixels = flow(images).native[0]  # (B, H, W)
    """

    @as_a_pair
    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W) for targets (B,), the predicted if None."""
        self.predicted(targets)
        with self.passing(images) as pixels:
            answer = answer_of(logits_of(self._model(pixels), self._model), targets)
            (gradient,) = gradients_of(answer.score, [pixels], self._model)
        native = gradient.abs().sum(dim=1)
        return self.flow([native], Observation(("input",), (), (), answer), images.shape[-2:])
