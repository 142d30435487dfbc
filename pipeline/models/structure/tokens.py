"""The layers of a transformer of one resolution: the tokens that each block's attention reads.

They are taken after the block's first norm. After the last block, patches of a class-token model
have no gradient; before its norm they have one, but it is orthogonal to the token itself (the norm
ignores a token's length), so activation × gradient would be nothing but rounding error.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models.sharing import of_this_thread
from pipeline.models.structure.logits import tensor_of


@dataclass(frozen=True)
class Tokens:
    """One forward pass of B images: ``points`` (B, N, C), made by the norms ``layers`` name.

    The first ``num_prefix_tokens`` of the N tokens are not patches; the others lie on ``grid``.
    """

    points: tuple[Tensor, ...]
    layers: tuple[str, ...]
    num_prefix_tokens: int
    grid: tuple[int, int]
    logits: Tensor

    def as_maps(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return tensors shaped as the points as (B, C, h, w), without the prefix tokens."""
        return tuple(
            tensor[:, self.num_prefix_tokens :].mT.reshape(len(tensor), -1, *self.grid)
            for tensor in tensors
        )


def has_tokens(model: nn.Module) -> bool:
    """Return whether a model is a timm transformer of one resolution."""
    blocks = getattr(model, "blocks", None)
    return (
        isinstance(blocks, nn.Sequential | nn.ModuleList)
        and hasattr(model, "num_prefix_tokens")
        and hasattr(getattr(model, "patch_embed", None), "dynamic_feat_size")
        and all(isinstance(getattr(block, "norm1", None), nn.Module) for block in blocks)
    )


def read_tokens(model: nn.Module, images: Tensor) -> Tokens:
    """Run a transformer on images (B, 3, H, W); the graph starts at the first norm.

    Raises
    ------
    UnsupportedModel
        Its tokens are not those of a full grid of patches.
    """
    points: list[Tensor] = []

    def leave(norm: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        points.append(output if points else output.detach().requires_grad_())
        return points[-1]

    blocks: Any = model.blocks
    with ExitStack() as hooks:
        for block in blocks:
            hooks.callback(block.norm1.register_forward_hook(of_this_thread(leave)).remove)
        logits = tensor_of(model(images), model)
    grid = tuple(map(int, model.patch_embed.dynamic_feat_size(images.shape[-2:])))  # type: ignore[operator, union-attr]
    # The class token of CaiT is added only after these blocks.
    prefix = points[0].shape[1] - grid[0] * grid[1]
    same = all(point.ndim == 3 and point.shape[1] == points[0].shape[1] for point in points)
    if not same or prefix not in (0, int(model.num_prefix_tokens)):  # type: ignore[arg-type]
        raise UnsupportedModel(
            f"{type(model).__name__} does not keep one token per patch in every block; "
            "use input_gradient"
        )
    layers = tuple(f"blocks.{index}.norm1" for index in range(len(points)))
    return Tokens(tuple(points), layers, prefix, (grid[0], grid[1]), logits)
