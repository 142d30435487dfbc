"""Occlusion: what the logit loses when a cell of the image is hidden (arXiv 1311.2901)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.flows.flow import Flow
from pipeline.flows.hiding import FILLS, blocks, filling
from pipeline.flows.layers import LayerMethod, answer_of
from pipeline.flows.resample import default_grid
from pipeline.models.structure.logits import logits_of
from pipeline.models.structure.tokens import has_tokens


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
        What replaces a cell's pixels, ``mean`` or ``blur``; see
        :data:`pipeline.flows.hiding.Fill`.

    Raises
    ------
    ConfigError
        There is no such fill.

    Examples
    --------
    >>> with create_flow("occlusion", model, fill="blur") as flow:
    ...     maps = flow(images).maps  # (B, 1, h, w), in units of the logit
    """

    def __init__(
        self, model: nn.Module, grid: Sequence[int] | None = None, fill: str = "mean"
    ) -> None:
        super().__init__(model, grid)
        if fill not in FILLS:
            raise ConfigError(f"flow.options.fill: {fill!r} is not one of {', '.join(FILLS)}")
        self._fill = fill

    @torch.no_grad()
    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of images (B, 3, H, W) for targets (B,), the predicted if None."""
        self.require_open(images)
        self.predicted(targets)
        answer = answer_of(logits_of(self._model(images), self._model), targets)
        size = (images.shape[-2], images.shape[-1])
        rows, columns = self._grid or self._cells(size)
        filled = filling(images, (rows, columns), self._fill)
        drops = [
            self._drop(images, filled, answer.target, answer.logits, (down, across))
            for down in blocks(rows, size[0])
            for across in blocks(columns, size[1])
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

    def _drop(
        self,
        images: Tensor,
        filled: Tensor,
        target: Tensor,
        logits: Tensor,
        cell: tuple[slice, slice],
    ) -> Tensor:
        """Return how far the target's logit (B,) falls when one cell of every image is hidden."""
        hidden = images.clone()
        hidden[..., *cell] = filled[..., *cell]
        left = logits_of(self._model(hidden), self._model).float()
        return (logits - left).gather(1, target[:, None])[:, 0]
