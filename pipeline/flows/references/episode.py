"""Few-shot episodes: which reference images stand for which classes."""

import torch
from torch import Tensor

from pipeline.nouns import counted


def episode(
    labels: Tensor, n_way: int | None = None, k_shot: int | None = None, seed: int = 0
) -> Tensor:
    """Return the indices of an episode's reference images, ascending.

    Parameters
    ----------
    labels
        (M,) integer labels of all reference images.
    n_way
        Number of classes, drawn at random; all of them if None.
    k_shot
        Number of images of each, drawn at random; all of them if None.
    seed
        Of both draws. Which images of a class are drawn does not depend on ``n_way``.

    Raises
    ------
    ValueError
        There are fewer classes, or a class has fewer images.
    """
    labels = labels.cpu()
    classes = torch.unique(labels)
    if n_way is not None:
        if not 1 <= n_way <= len(classes):
            raise ValueError(
                f"n_way is {n_way}, but the references have {counted(len(classes), 'class')}; "
                f"use 1 … {len(classes)}, or null for all"
            )
        order = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed))
        classes = classes[order[:n_way]]
    if k_shot is not None and k_shot < 1:
        raise ValueError(f"k_shot is {k_shot}; use 1 or more, or null for all images")
    drawn = [_members(labels, int(label), k_shot, seed) for label in classes]
    return torch.cat(drawn).sort().values


def _members(labels: Tensor, label: int, k_shot: int | None, seed: int) -> Tensor:
    members = (labels == label).nonzero()[:, 0]
    if k_shot is None:
        return members
    if k_shot > len(members):
        raise ValueError(
            f"k_shot is {k_shot}, but class {label} has only "
            f"{counted(len(members), 'reference image')}; "
            "use a smaller k_shot, or more references"
        )
    # One seed per class, so that its images are the same whatever other classes are drawn.
    generator = torch.Generator().manual_seed(1_000_003 * (seed + 1) + label)
    return members[torch.randperm(len(members), generator=generator)[:k_shot]]
