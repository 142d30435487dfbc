"""Reference embeddings of labelled images, and in which channels a query resembles them.

A model without a classifier decides by similarity: to the mean of each class (prototypes), to
the nearest images, or to those that a table lists. The similarity of two embeddings is a sum over
channels; the parts of that sum say which channels speak for a label.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.flows.flow import check_targets
from pipeline.flows.references.episode import episode
from pipeline.flows.references.neighbours import search, vote

By = Literal["prototypes", "neighbours", "table"]
Similarity = Literal["cosine", "euclidean"]

_TEMPERATURE = {"cosine": 0.07, "euclidean": 1.0}
_BELOW = 100.0
"""How far the logit of a label without references lies below the others."""


@dataclass(frozen=True)
class Likeness:
    """How B queries compare with the references.

    ``logits`` (B, K); ``target`` (B,) the explained labels; ``parts`` (B, D), the channels' parts
    in the similarity to the explained references (their mean, where there are several).
    """

    logits: Tensor
    target: Tensor
    parts: Tensor

    def weights(self, signed: bool) -> Tensor:
        """Return weights of the channels: parts stretched to 0 … 1, ones if they are constant.

        ``signed`` keeps the signs instead: parts divided by the largest absolute one.
        """
        if not signed:
            low, high = self.parts.amin(dim=1, keepdim=True), self.parts.amax(dim=1, keepdim=True)
            stretched = (self.parts - low) / (high - low)
            return torch.where(high > low, stretched, torch.ones_like(self.parts))
        peak = self.parts.abs().amax(dim=1, keepdim=True)
        return torch.where(peak > 0, self.parts / peak, torch.ones_like(self.parts))


class Gallery:
    """M reference embeddings with labels, on the device they were given on.

    The similarity of f and g is their cosine, with the parts f̂ ⊙ ĝ, or minus the squared Euclidean
    distance, with the parts −(f − g)². A prototype is the mean of a class's embeddings.

    Parameters
    ----------
    features, labels
        (M, D) and (M,) integers from 0; the number of classes is the largest plus one.
    by
        What a query is compared with.
    k
        How many neighbours vote.
    temperature
        Logits are similarities divided by it, or of neighbours the logarithm of each label's
        votes Σ exp(similarity / temperature). 0.07 for cosines and 1 for distances if None.
    n_way, k_shot, seed
        Choose the references of one few-shot episode; see
        :func:`pipeline.flows.references.episode.episode`.

    Raises
    ------
    ValueError
        The arguments do not fit each other, or are out of range.
    """

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        by: By = "prototypes",
        similarity: Similarity = "cosine",
        k: int = 20,
        temperature: float | None = None,
        n_way: int | None = None,
        k_shot: int | None = None,
        seed: int = 0,
    ) -> None:
        _check(features, labels, by, similarity)
        self._similarity, self._by = similarity, by
        self._temperature = _TEMPERATURE[similarity] if temperature is None else temperature
        if k < 1 or self._temperature <= 0:
            raise ValueError(f"k ({k}) must be at least 1, temperature ({temperature}) positive")
        exact = features.detach().to(torch.promote_types(features.dtype, torch.float32))
        self._features = exact if by == "prototypes" else self._ready(exact)
        self._labels = labels.detach().long()
        self.classes = int(labels.max()) + 1
        self._shown = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
        self._shown[episode(labels, n_way, k_shot, seed).to(labels.device)] = True
        self._k = min(k, int(self._shown.sum()))
        self._sums = torch.zeros(self.classes, features.shape[1]).to(self._features)
        self._sums.index_add_(0, self._labels[self._shown], self._features[self._shown])
        self._counts = self._labels[self._shown].bincount(minlength=self.classes)

    def ask(
        self, features: Tensor, targets: Tensor | None = None, exclude: Tensor | None = None
    ) -> Likeness:
        """Compare queries (B, D) with the references.

        Parameters
        ----------
        features
            Embeddings, on any device; the answer comes back to it. A query's answer does not
            depend on its batch mates.
        targets
            (B,) labels to explain, the most similar ones if None. By table: (B, R) indices of the
            references, padded with -1.
        exclude
            (B,) the reference to leave out for each query, such as its own image; -1 for none.
            What a table lists is not left out.

        Raises
        ------
        ValueError
            Embeddings of another width than the references', or targets of another shape or out
            of range.
        """
        if features.shape[1] != self._features.shape[1]:
            raise ValueError(
                f"the references have {self._features.shape[1]} channels, the model's embedding "
                f"{features.shape[1]}; compute them with the same model and embedding"
            )
        wanted = self._ready(features.detach().to(self._features))
        if exclude is not None:
            exclude = exclude.to(self._labels)
            # A reference that no episode shows need not be left out.
            exclude = torch.where((exclude >= 0) & self._shown[exclude.clamp(min=0)], exclude, -1)
        if self._by != "table":
            check_targets(targets, len(wanted), self.classes)
        with torch.autocast(wanted.device.type, enabled=False):  # similarities stay exact
            if self._by == "table":
                found = self._listed(wanted, targets)
            elif self._by == "prototypes":
                found = self._prototypes(wanted, targets, exclude)
            else:
                found = self._neighbours(wanted, targets, exclude)
        own = features.device
        return Likeness(found.logits.to(own), found.target.to(own), found.parts.to(own))

    def _prototypes(
        self, wanted: Tensor, targets: Tensor | None, exclude: Tensor | None
    ) -> Likeness:
        means = self._ready(self._sums / self._counts.clamp(min=1)[:, None])
        similarity = self._compare(wanted, means)
        there = (self._counts > 0).expand(len(wanted), -1)
        own = None
        if exclude is not None:
            rows = (exclude >= 0).nonzero()[:, 0]
            labels, counts = self._labels[exclude[rows]], self._counts[self._labels[exclude[rows]]]
            others = self._sums[labels] - self._features[exclude[rows]]
            own = self._ready(others / (counts - 1).clamp(min=1)[:, None])
            own[counts == 1] = 0
            similarity[rows, labels] = self._parts(wanted[rows], own).sum(dim=1)
            there = there.clone()
            there[rows, labels] = counts > 1
        logits = similarity / self._temperature
        floor = torch.where(there, logits, torch.inf).amin(dim=1, keepdim=True) - _BELOW
        logits = torch.where(there, logits, floor.nan_to_num(posinf=0.0))
        target = logits.argmax(dim=1) if targets is None else targets.to(self._labels)
        explained = means[target]
        if exclude is not None and own is not None:
            mine = labels == target[rows]
            explained[rows[mine]] = own[mine]
        return Likeness(logits.float(), target, self._parts(wanted, explained))

    def _neighbours(
        self, wanted: Tensor, targets: Tensor | None, exclude: Tensor | None
    ) -> Likeness:
        def similarity(part: slice) -> Tensor:
            found = self._compare(wanted, self._features[part])
            return found.masked_fill(~self._shown[part], -torch.inf)

        nearest, index = search(similarity, len(wanted), len(self._labels), self._k, exclude)
        labels = self._labels[index]
        logits = vote(nearest, labels, self.classes, self._temperature)
        target = logits.argmax(dim=1) if targets is None else targets.to(self._labels)
        kept = (labels == target[:, None]) & nearest.isfinite()
        parts = self._mean_parts(wanted, index, kept)
        for row in (~kept.any(dim=1)).nonzero()[:, 0].tolist():
            # No neighbour has this label: all its references stand for it.
            members = self._shown & (self._labels == target[row])
            if exclude is not None and exclude[row] >= 0:
                members[exclude[row]] = False
            place = members.nonzero()[:, 0][None]
            parts[row] = self._mean_parts(wanted[row : row + 1], place, place >= 0)[0]
        return Likeness(logits.float(), target, parts)

    def _listed(self, wanted: Tensor, targets: Tensor | None) -> Likeness:
        if targets is None or targets.ndim != 2 or len(targets) != len(wanted):
            raise ValueError(
                f"by table, targets are the references of each image, ({len(wanted)}, R) indices "
                "padded with -1"
            )
        index = targets.to(self._labels)
        if index.numel() and int(index.max()) >= len(self._labels):
            raise ValueError(f"targets must be references 0 … {len(self._labels) - 1}")
        there, index = index >= 0, index.clamp(min=0)
        nearest = torch.where(
            there, self._parts(wanted[:, None], self._features[index]).sum(dim=2), -torch.inf
        )
        nearest, order = nearest.sort(dim=1, descending=True, stable=True)
        labels = self._labels[index.gather(1, order)]
        logits = vote(nearest, labels, self.classes, self._temperature)
        parts = self._mean_parts(wanted, index, there)
        return Likeness(logits.float(), logits.argmax(dim=1), parts)

    def _ready(self, features: Tensor) -> Tensor:
        """Return embeddings (…, D) as they are compared: for cosines of length 1."""
        return F.normalize(features, dim=-1) if self._similarity == "cosine" else features

    def _compare(self, wanted: Tensor, references: Tensor) -> Tensor:
        """Return the similarities (B, R) of queries (B, D) and references (R, D), both ready."""
        if self._similarity == "cosine":
            return wanted @ references.T
        # Without the matrix product, which cancels and rounds by the number of queries.
        mode = "donot_use_mm_for_euclid_dist"
        return -torch.cdist(wanted, references, compute_mode=mode).square()

    def _parts(self, wanted: Tensor, references: Tensor) -> Tensor:
        """Return the channels' parts (…, D) in the similarity of queries and references."""
        if self._similarity == "cosine":
            return wanted * references
        return -(wanted - references).square()

    def _mean_parts(self, wanted: Tensor, index: Tensor, kept: Tensor) -> Tensor:
        """Return the parts' mean over the kept ones of each query's references (B, R)."""
        parts = self._parts(wanted[:, None], self._features[index]) * kept[:, :, None]
        return parts.sum(dim=1) / kept.sum(dim=1, keepdim=True).clamp(min=1)


def _check(features: Tensor, labels: Tensor, by: str, similarity: str) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise ValueError(
            "references need features (M, D) and labels (M,) of at least one image, "
            f"not {tuple(features.shape)} and {tuple(labels.shape)}"
        )
    if labels.dtype.is_floating_point or int(labels.min()) < 0:
        raise ValueError("the labels of references must be integers from 0 on")
    if by not in ("prototypes", "neighbours", "table"):
        raise ValueError(f"there is no by {by!r}; use prototypes, neighbours or table")
    if similarity not in _TEMPERATURE:
        raise ValueError(f"there is no similarity {similarity!r}; use cosine or euclidean")
