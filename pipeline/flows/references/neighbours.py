"""Nearest neighbours, searched exactly, and their votes."""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 2**24  # similarities that may exist at a time: 64 MiB of float32


def search(
    similarity: Callable[[slice], Tensor],
    images: int,
    members: int,
    k: int,
    exclude: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the k largest similarities of each image and the members they belong to, (B, k) each.

    In descending order, of equal similarities the lowest index first. Exact and blockwise, so
    memory does not grow with the members.

    Parameters
    ----------
    similarity
        ``similarity(part)`` gives the similarities of B images to a slice of the members,
        (B, len(part)). NaN counts as minus infinity.
    images, members
        Number of each: B and M.
    k
        Number of members to return, at most M.
    exclude
        (B,) the member to leave out for each image, -1 for none. It gets a similarity of minus
        infinity and is returned only where fewer than k others exist.
    """
    step = max(k, BLOCK // max(1, images))
    best, index = torch.empty(images, 0), torch.empty(images, 0, dtype=torch.long)
    for start in range(0, members, step):
        part = slice(start, min(start + step, members))
        found = similarity(part).nan_to_num(nan=-torch.inf)
        place = torch.arange(part.start, part.stop, device=found.device)
        if exclude is not None:
            found.masked_fill_(place == exclude.to(place)[:, None], -torch.inf)
        best = torch.cat([best.to(found), found], dim=1)
        index = torch.cat([index.to(place), place.expand(images, -1)], dim=1)
        best, kept = _top(best, min(k, best.shape[1]))
        index = index.gather(1, kept)
    return best, index


def vote(similarity: Tensor, labels: Tensor, classes: int, temperature: float) -> Tensor:
    """Return the logarithm of each label's votes Σ exp(similarity / temperature), (B, classes).

    ``similarity`` and ``labels`` are (B, k), the best first. Labels without votes get a finite
    floor far below the others.
    """
    top = similarity[:, :1].nan_to_num(neginf=0.0)
    # Relative to the best, so that no temperature overflows.
    votes = ((similarity - top) / temperature).exp()
    votes = votes.new_zeros(len(votes), classes).scatter_add_(1, labels, votes)
    return top / temperature + votes.clamp(min=torch.finfo(votes.dtype).tiny).log()


def _top(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest of each row in descending order and their places, ties by place."""
    least = values.topk(k, dim=1).values[:, -1:]
    above, ties = values > least, values == least
    room = k - above.sum(dim=1, keepdim=True)
    kept = above | (ties & (ties.cumsum(dim=1) <= room))
    places = kept.nonzero()[:, 1].view(len(values), k)
    found, order = values.gather(1, places).sort(dim=1, descending=True, stable=True)
    return found, places.gather(1, order)
