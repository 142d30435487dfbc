"""Occlusion: what the logit loses when a cell of the image is hidden (arXiv 1311.2901)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from pipeline.errors import ConfigError
from pipeline.flows.flow import Flow
from pipeline.flows.layers import LayerMethod, answer_of
from pipeline.flows.resample import default_grid
from pipeline.models.structure.logits import logits_of
from pipeline.models.structure.tokens import has_tokens

_FILLS = ("mean", "blur")


class Occlusion(LayerMethod):
    """map[j] = max(0, s(x) − s(x with cell j hidden)) of the class's logit s: one layer, ``input``.

    Section 4.2 of arXiv 1311.2901, with cells that do not overlap. It observes no layer and needs
    no gradient: it is a causal measurement, and the reference with which other methods' maps are
    compared. It costs one forward pass for every cell. A cell whose hiding raises the logit is 0 in
    the map.

    Parameters
    ----------
    model
        Any model in evaluation mode that returns logits (B, K).
    grid
        Rows and columns of the map; by default the patches of a transformer of one resolution, else
        one cell for every 16 × 16 pixels. A cell is the smallest block of whole pixels that
        contains its share of the image.
    fill
        What replaces a cell's pixels. ``mean``: 0 in the normalised image, the mean colour of the
        images that the model was trained on. ``blur``: the image averaged over cells and
        interpolated, which keeps the colours and leaves hardly an edge.

    Raises
    ------
    ConfigError
        There is no such fill.

    Examples
    --------
    >>> with create_flow("occlusion", model, fill="blur") as flow:
    ...     drop = flow(images).maps[:, 0]  # (B, h, w), in units of the logit
    """

    def __init__(
        self, model: nn.Module, grid: Sequence[int] | None = None, fill: str = "mean"
    ) -> None:
        super().__init__(model, grid)
        if fill not in _FILLS:
            raise ConfigError(f"flow.options.fill: {fill!r} is not one of {', '.join(_FILLS)}")
        self._fill = fill

    @torch.no_grad()
    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W) for targets (B,), the predicted if None."""
        self.require_open(images)
        self.predicted(targets)
        answer = answer_of(logits_of(self._model(images), self._model), targets)
        size = (images.shape[-2], images.shape[-1])
        rows, columns = self._grid or self._cells(size)
        filling = self._filling(images, (rows, columns))
        drops = [
            self._drop(images, filling, answer.target, answer.logits, (down, across))
            for down in _blocks(rows, size[0])
            for across in _blocks(columns, size[1])
        ]
        return Flow(
            maps=torch.stack(drops, dim=1).clamp(min=0).view(-1, 1, rows, columns),
            layers=("input",),
            logits=answer.logits,
            target=answer.target,
        )

    def _cells(self, size: tuple[int, int]) -> tuple[int, int]:
        if not has_tokens(self._model):
            return default_grid(*size)
        rows, columns = self._model.patch_embed.dynamic_feat_size(size)  # type: ignore[operator, union-attr]
        return int(rows), int(columns)

    def _filling(self, images: Tensor, cells: tuple[int, int]) -> Tensor:
        if self._fill == "mean":
            return torch.zeros_like(images)
        coarse = adaptive_avg_pool2d(images, cells)
        return interpolate(coarse, images.shape[-2:], mode="bilinear", align_corners=False)

    def _drop(
        self,
        images: Tensor,
        filling: Tensor,
        target: Tensor,
        logits: Tensor,
        cell: tuple[slice, slice],
    ) -> Tensor:
        """Return how far the target's logit (B,) falls when one cell of every image is hidden."""
        hidden = images.clone()
        hidden[..., *cell] = filling[..., *cell]
        left = logits_of(self._model(hidden), self._model).float()
        return (logits - left).gather(1, target[:, None])[:, 0]


def _blocks(cells: int, pixels: int) -> list[slice]:
    """Return the pixels of each of ``cells`` equal parts of a side, whole pixels, none empty."""
    return [slice(i * pixels // cells, -(-(i + 1) * pixels // cells)) for i in range(cells)]
