"""The statistics of one layer's heads, from its attention: see :mod:`pipeline.flows.heads`."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.flows.recording import Attention
from pipeline.measures.heads import HEAD_STATISTICS
from pipeline.models.structure.anatomy import Rows

Means = tuple[dict[str, Tensor], Tensor]
"""Means over some queries: (B, H) by statistic, and (B, H, n), what each patch receives."""


@dataclass(frozen=True)
class Sums:
    """One layer's means over the queries that are patches, and over those that are read."""

    patches: Means | None
    token: Means | None


def patch_distances(grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return the distances (n, n) of the patches' centres in diagonals of the image, row by row.

    ``grid`` is rows and columns of patches, ``size`` (H, W) the image's pixels.
    """
    places = torch.cartesian_prod(
        *(torch.arange(n) * (pixels / n) for n, pixels in zip(grid, size, strict=True))
    )
    return torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist") / math.hypot(
        *size
    )


def means(
    attention: Attention,
    rows: Rows,
    prefix: int,
    *,
    far: Tensor | None = None,
    among: bool = True,
) -> Means:
    """Return the means of a layer's attention over some queries, at least one.

    Parameters
    ----------
    attention
        Of one layer; few rows of it exist at a time.
    rows
        The queries.
    prefix
        Number of keys before the patches.
    far
        Distances (n, n) of the patches, if the queries are patches; see :func:`patch_distances`.
    among
        Whether query q is the same token as key q.
    """
    keys = attention.key.shape[2]
    total: dict[str, Tensor] = {}
    received: Tensor | None = None
    count = 0
    for part, paid in attention.slabs(rows):
        asked = torch.arange(attention.query.shape[2], device=paid.device)[part]
        found = {
            "entropy": torch.special.entr(paid).sum(dim=(2, 3)),
            "prefix": paid[..., :prefix].sum(dim=(2, 3)),
        }
        if among:
            found["self"] = paid.take_along_dim(asked[None, None, :, None], 3).sum(dim=(2, 3))
        if far is not None:
            way = paid.new_zeros(len(asked), keys)
            way[:, prefix:] = far[asked - prefix]
            found["distance"] = paid.flatten(2) @ way.flatten()
        total = {name: value + total.get(name, 0) for name, value in found.items()}
        got = paid[..., prefix:].sum(dim=2)
        received = got if received is None else received + got
        count += len(asked)
    if received is None:
        raise ValueError("there is no query to take the mean over")
    mean = {name: value / count for name, value in total.items()}
    mean["entropy"] = mean["entropy"] / (math.log(keys) if keys > 1 else 1)
    if far is not None:
        mean["distance"] = total["distance"] / received.sum(dim=2)  # NaN where nothing is seen
    return mean, received / count


def table(sums: Sums, sink: Tensor | None) -> Tensor:
    """Return one layer's statistics (B, H, S) float32, NaN where there is none.

    ``sink`` (B, n) says which patches are sinks; None where that is not known.
    """
    found: dict[str, Tensor] = {}
    for stem, part in (("", sums.patches), ("token_", sums.token)):
        if part is None:
            continue
        mean, received = part
        found |= {stem + name: value for name, value in mean.items()}
        if sink is not None:
            found[f"{stem}sinks"] = (received * sink[:, None]).sum(dim=2)
    some = next(iter(found.values()))
    missing = torch.full_like(some, torch.nan)
    columns = [found.get(name, missing) for name in HEAD_STATISTICS]
    return torch.stack(columns, dim=-1).clamp(0, 1).float()
