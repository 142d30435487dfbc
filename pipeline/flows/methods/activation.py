"""How strongly each place is represented: the norm of every layer's activations.

It explains no class and needs no gradient and no head, so any model can be run with it, for
instance to store the embeddings of a reference set.
"""

from collections.abc import Sequence
from itertools import compress

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import UnsupportedModel
from pipeline.flows.flow import Flow, check_targets
from pipeline.flows.resample import on_one_grid, rows_and_columns
from pipeline.flows.session import Session, warn_left_out
from pipeline.measures.activations import BINS, EDGES
from pipeline.models.structure.alternatives import instead
from pipeline.models.structure.embedding import through_head
from pipeline.models.structure.logits import logits_of

PEAKS, COUNTS = "channel_peaks", "channel_counts"
"""Extras of the flow: the largest activation of every channel, and how many are in each bin."""


class Activation(Session):
    """The L2 norm √(Σ_c x_c²) of every block's patch tokens, or of every stage's feature map.

    A baseline without a paper of its own: it shows magnitude, not relevance to a class.

    Parameters
    ----------
    model
        A timm model in evaluation mode.
    grid
        Rows and columns of the maps; by default one cell for every 16 × 16 pixels where layers
        differ in size, and their own grid where they do not.
    channels
        Whether the flow's extras have the distributions of single channels: ``channel_peaks``
        (B, L, C), the largest activation in the image, and ``channel_counts`` (B, L, C, bins)
        int32, how many cells are in each bin of :mod:`pipeline.measures.activations`. C is the
        most channels of a layer; one that has fewer has peaks of -inf and no counts there.

    Raises
    ------
    UnsupportedModel
        The model does not give its intermediate activations.

    Examples
    --------
    >>> with create_flow("activation", model) as flow:
    ...     maps = flow(images).maps  # (B, L, h, w)
    """

    targeted = False
    """Maps are the same whatever class is asked for."""

    def __init__(
        self, model: nn.Module, grid: Sequence[int] | None = None, channels: bool = False
    ) -> None:
        if not hasattr(model, "forward_intermediates") or not hasattr(model, "forward_head"):
            raise UnsupportedModel(
                f"{type(model).__name__} does not give its intermediate activations "
                f"(timm's forward_intermediates); {instead(model)}"
            )
        if hasattr(model, "num_prefix_tokens") and not hasattr(model, "patch_embed"):
            raise UnsupportedModel(
                f"{type(model).__name__} takes patches in any arrangement, so its layers have no "
                "one grid; use a model with a patch embedding of timm"
            )
        super().__init__(model)
        self._grid = rows_and_columns(grid)
        self._channels = channels

    @torch.no_grad()
    def __call__(self, images: Tensor, targets: Tensor | None = None) -> Flow:
        """Return the flow of a batch; every image's maps are independent of its batch mates.

        Parameters
        ----------
        images
            (B, 3, H, W) float, normalised, on the model's device.
        targets
            (B,) classes, only handed through; the predicted ones if None.

        Returns
        -------
        Flow
            ``maps`` (B, L, h, w) float32, ``native`` the layers' own sizes where they differ.
            Of a model without a classifier ``logits`` is (B, 0) and ``target`` -1.
        """
        self.require_open(images)
        lying = self.lying(images, self._stages)
        if not any(lying):
            raise UnsupportedModel(
                f"the activations of {type(self._model).__name__} do not lie on the image as their "
                "axes say, so no map can be made of them; use input_gradient"
            )
        features, stages = self._model.forward_intermediates(images)  # type: ignore[operator]
        logits = logits_of(through_head(self._model, features), self._model).float()
        if not getattr(self._model, "num_classes", 0):
            logits = logits.new_zeros(len(images), 0)
            targets = torch.full((len(images),), -1, device=images.device)
        check = None if not logits.shape[1] else targets
        check_targets(check, len(images), logits.shape[1])
        names = _names(self._model, len(stages))
        warn_left_out(
            self._model, [name for name, lies in zip(names, lying, strict=True) if not lies]
        )
        used = list(compress(stages, lying))
        norms = [stage.float().norm(dim=1) for stage in used]
        maps, native = on_one_grid(norms, images.shape[-2:], self._grid)
        return Flow(
            maps=maps,
            layers=tuple(compress(names, lying)),
            logits=logits,
            target=logits.argmax(dim=1) if targets is None else targets.to(logits.device).long(),
            native=native,
            extras=_distributions(used) if self._channels else {},
        )

    def _stages(self, images: Tensor) -> list[Tensor]:
        _, stages = self._model.forward_intermediates(images)  # type: ignore[operator]
        return list(stages)


def _distributions(stages: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the extras on single channels of L layers (B, C_l, h_l, w_l)."""
    most = max(stage.shape[1] for stage in stages)
    peaks, counts = [], []
    for stage in stages:
        values = stage.float().flatten(2)
        missing = most - values.shape[1]
        peaks.append(functional.pad(values.amax(dim=2), (0, missing), value=-torch.inf))
        counts.append(functional.pad(_counts(values), (0, 0, 0, missing)))
    return {PEAKS: torch.stack(peaks, dim=1), COUNTS: torch.stack(counts, dim=1)}


def _counts(values: Tensor) -> Tensor:
    """Return how many values (B, C, n) are in each bin, (B, C, bins) int32; sums of whole ones."""
    bins = torch.bucketize(values, torch.from_numpy(EDGES).to(values.device), right=True)
    counts = torch.zeros(*values.shape[:2], BINS, dtype=torch.int32, device=values.device)
    return counts.scatter_add_(2, bins, torch.ones_like(bins, dtype=torch.int32))


def _names(model: nn.Module, layers: int) -> tuple[str, ...]:
    """Return the names of a model's stages, as timm has them if no two are the same."""
    known = [str(item["module"]) for item in getattr(model, "feature_info", None) or ()]
    return (
        tuple(known)
        if len(set(known)) == len(known) == layers
        else tuple(f"stage.{i}" for i in range(layers))
    )
