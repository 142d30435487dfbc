"""A memory bank of reference features, searched exactly, and what it says of a feature.

Self-supervised DAAM (arXiv 2503.14640) explains no logit but the likeness to reference images:
which channels of the embedding agree with the nearest neighbours of one label.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 2**24  # similarities that may exist at a time: 64 MiB of float32


@dataclass(frozen=True)
class Answer:
    """What a bank says of B features.

    ``logits`` (B, C) float32, the logarithm of each label's votes, at least a finite floor;
    ``target`` (B,) the explained labels; ``weights`` (B, channels) in [0, 1].
    """

    logits: Tensor
    target: Tensor
    weights: Tensor


class Bank:
    """M reference features with labels, on the device they were given on.

    Parameters
    ----------
    features
        (M, C), normalised here to length 1 (zeros stay zeros).
    labels
        (M,) integers from 0; the number of classes is the largest plus one.
    k
        Number of neighbours that vote, at most M are used.
    temperature
        Of the votes exp(cosine / temperature).

    Raises
    ------
    ValueError
        Features and labels do not fit each other, or the options are not positive.
    """

    def __init__(
        self, features: Tensor, labels: Tensor, k: int = 20, temperature: float = 0.07
    ) -> None:
        if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
            raise ValueError(
                f"a bank needs features (M, C) and labels (M,) of at least one image, "
                f"not {tuple(features.shape)} and {tuple(labels.shape)}"
            )
        if labels.dtype.is_floating_point or int(labels.min()) < 0:
            raise ValueError("the labels of a bank must be integers from 0 on")
        if k < 1 or temperature <= 0:
            raise ValueError(f"k ({k}) must be at least 1 and temperature ({temperature}) positive")
        self._features = F.normalize(features.detach().float(), dim=1)
        self._labels = labels.detach().long()
        self._k, self._temperature = min(k, len(labels)), temperature
        self.classes = int(labels.max()) + 1

    def nearest(self, features: Tensor, exclude: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the cosines and indices of the k nearest references, (B, k) each.

        Exact, in descending order, of equal cosines the lowest index first; blockwise over the
        bank, so memory does not grow with it. Features that are not finite are nearest to the
        first references, with a cosine of minus infinity. That also marks the reference
        ``exclude`` (B,) of each feature (-1 for none) where fewer than k others are left.
        """
        wanted = F.normalize(features.detach().float(), dim=1)

        def cosine(part: slice) -> Tensor:
            return wanted @ self._features[part].to(wanted.device).T

        return search(cosine, len(wanted), len(self._labels), self._k, exclude)

    def ask(
        self, features: Tensor, targets: Tensor | None = None, exclude: Tensor | None = None
    ) -> Answer:
        """Let the nearest references of features (B, C) vote, and weigh the features' channels.

        With f̂ = f/‖f‖ and the neighbours of the explained label, the weights are
        w = minmax over channels of f̂ ⊙ (their mean), all ones if that is constant. If a given
        target has no image among the neighbours, the mean of all its references stands for them.
        ``exclude`` (B,) is a reference not to ask for each feature, -1 for none.
        """
        cosine, index = self.nearest(features, exclude)
        labels = self._labels.to(index.device)[index]
        logits = vote(cosine, labels, self.classes, self._temperature)
        target = logits.argmax(dim=1) if targets is None else targets.to(logits.device).long()
        kept = ((labels == target[:, None]) & cosine.isfinite()).float()
        neighbours = self._features[index.to(self._features.device)].to(index.device)
        mean = (kept[:, None] @ neighbours)[:, 0] / kept.sum(dim=1, keepdim=True).clamp(min=1)
        if (lone := kept.sum(dim=1) == 0).any():
            own = torch.full_like(target, -1) if exclude is None else exclude
            asked = zip(target[lone].tolist(), own[lone].tolist(), strict=True)
            mean[lone] = torch.stack([self._mean(*pair) for pair in asked]).to(mean)
        agreement = F.normalize(features.detach().float(), dim=1) * mean
        return Answer(logits, target, min_max(agreement))

    def _mean(self, label: int, exclude: int) -> Tensor:
        """Return the mean of a label's references but one, zeros if it has none."""
        is_member = self._labels == label
        if exclude >= 0:
            is_member[exclude] = False
        members = self._features[is_member]
        return members.sum(dim=0) / max(1, len(members))


def search(
    similarity: Callable[[slice], Tensor],
    images: int,
    members: int,
    k: int,
    exclude: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the k largest similarities of each image and the members they belong to, (B, k) each.

    Exact, as :meth:`Bank.nearest` says. ``similarity(part)`` gives those of B images to a stretch
    of the members, (B, len(part)); a block of them exists at a time.
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


def min_max(values: Tensor) -> Tensor:
    """Stretch each row to 0 … 1; rows that are constant become ones."""
    low, high = values.amin(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)
    return torch.where(high > low, (values - low) / (high - low), torch.ones_like(values))
