"""Grad-CAM, HiResCAM and LayerCAM of every layer; activations A and gradients G of the logit.

Raw maps, one per layer: nothing is normalised, and the layers are those that NAFlow explains
too, so their flows compare. A transformer's layers are what its blocks' attentions read. Swin's
feature maps count as a network's own, with their channels put first.
"""

from torch import Tensor

from pipeline.flows.flow import Flow
from pipeline.flows.layers import LayerMethod, as_a_pair


class GradCam(LayerMethod):
    """Grad-CAM (arXiv 1610.02391, equations 1 and 2): ReLU(Σ_c A_c · mean(G_c)).

    The mean is over places. ``maps`` (B, L, h, w) ≥ 0; ``native`` holds the layers' own sizes
    where they differ.

    Parameters
    ----------
    model, grid
        See :class:`pipeline.flows.layers.LayerMethod`.

    Examples
    --------
    >>> with create_flow("gradcam", model) as flow:
    ...     maps = flow(images).maps  # (B, L, h, w)
    """

    @as_a_pair
    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W) for targets (B,), the predicted if None."""
        seen = self.observe(images, self.predicted(targets))
        native = map(self.weigh, seen.activations, seen.gradients)
        return self.flow(tuple(native), seen, images.shape[-2:])

    @staticmethod
    def weigh(activation: Tensor, gradient: Tensor) -> Tensor:
        """Return a layer's map (B, h, w) from (B, C, h, w) each."""
        return (activation * gradient.mean(dim=(2, 3), keepdim=True)).sum(dim=1).relu()


class HiResCam(GradCam):
    """HiResCAM (arXiv 2011.08891): ReLU(Σ_c A_c ⊙ G_c); see :class:`GradCam` for parameters.

    Each place keeps its own gradient instead of the mean over places.

    Examples
    --------
    >>> with create_flow("hirescam", model) as flow:
    ...     maps = flow(images).maps  # (B, L, h, w)
    """

    @staticmethod
    def weigh(activation: Tensor, gradient: Tensor) -> Tensor:
        """Return a layer's map (B, h, w) from (B, C, h, w) each."""
        return (activation * gradient).sum(dim=1).relu()


class LayerCam(GradCam):
    """LayerCAM (TIP 2021, 10.1109/TIP.2021.3089943): ReLU(Σ_c ReLU(G_c) ⊙ A_c).

    Each place keeps its own gradient where that is positive; see :class:`GradCam` for parameters.

    Examples
    --------
    >>> with create_flow("layercam", model) as flow:
    ...     maps = flow(images).maps  # (B, L, h, w)
    """

    @staticmethod
    def weigh(activation: Tensor, gradient: Tensor) -> Tensor:
        """Return a layer's map (B, h, w) from (B, C, h, w) each."""
        return (activation * gradient.relu()).sum(dim=1).relu()
