"""Combined: images of a class that differ from its rest in several numbers at once.

Every brightness, every quantile of a channel, every frequency differs from image to image, so that
one number alone seldom sets apart the images to which something was done. Together they do: in the
direction from the rest of the class to the group, measured in units of what images differ by anyway
(Fisher's linear discriminant, 1936). As with a pattern of pixels, an image's share of the direction
is that of the direction which the *other* images of the group make.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.screening.estimates.carriers import LEAST, upper
from pipeline.audit.screening.estimates.rarity import Rarity, above

Float = NDArray[np.float64]

_STEPS = 8
_AXES = 2
_START = 4
"""A start is this part of a class."""

_RIDGE = 0.01
"""Part of the greatest variance that is added to every one: a number that hardly varies would
decide alone."""


def combined(own: Float, others: Float, starts: Sequence[Sequence[int]]) -> Rarity:
    """Return the rarest group that some of ``starts``, or the outermost images, lead to.

    Parameters
    ----------
    own, others
        (n, C) and (N, C), numbers of images of a class and of other classes.
    starts
        Groups of positions in ``own``.
    """
    best = Rarity((), 1.0, 1.0)
    if len(own) < 2 * LEAST + 1 or len(others) < 2:
        return best
    scale = others.std(0)
    scale[scale == 0] = 1
    values, vectors = np.linalg.eigh(np.cov((others / scale).T).reshape(len(scale), -1))
    whiten = vectors / np.sqrt(values + _RIDGE * values.max()) / scale[:, None]
    inside, outside = own @ whiten, others @ whiten
    found: dict[tuple[int, ...], Rarity] = {}
    for start in (*starts, *_ends(inside)):
        if LEAST <= len(start) <= len(own) - LEAST:
            chosen, held, direction, middle = _gathered(inside, start)
            if chosen not in found:
                elsewhere = (outside - middle) @ direction
                size = max(LEAST, -(-3 * len(chosen) // 4))
                rare = above(held, elsewhere, [size])
                found[chosen] = Rarity(chosen, rare.left, rare.chance)
    for rare in found.values():
        if (chance := rare.chance * len(found)) < best.chance:
            best = Rarity(rare.carriers, rare.left, chance)
    return best


def _ends(inside: Float) -> list[list[int]]:
    """Return both ends of the first axes of some images."""
    size = max(LEAST, len(inside) // _START)
    _, _, axes = np.linalg.svd(inside - inside.mean(0), full_matrices=False)
    orders = [np.argsort(inside @ axis, kind="stable") for axis in axes[:_AXES]]
    return [end[:size].tolist() for order in orders for end in (order, order[::-1])]


def _gathered(inside: Float, start: Sequence[int]) -> tuple[tuple[int, ...], Float, Float, Float]:
    """Return who is gathered, how much each image holds, and of what: a direction from a middle."""
    chosen = sorted(start)
    for _ in range(_STEPS):
        held, direction, middle = _held(inside, chosen)
        found = upper(held)
        if found == chosen:
            break
        chosen = found
    held, direction, middle = _held(inside, chosen)
    return tuple(chosen), held, direction, middle


def _held(inside: Float, chosen: Sequence[int]) -> tuple[Float, Float, Float]:
    left = np.setdiff1d(np.arange(len(inside)), chosen)
    middle = inside[left].mean(0)
    whole = inside[list(chosen)].sum(0)
    direction = _per_square(whole / len(chosen) - middle)
    held = (inside - middle) @ direction
    for place in chosen:
        other = _per_square((whole - inside[place]) / (len(chosen) - 1) - middle)
        held[place] = (inside[place] - middle) @ other
    return held, direction, middle


def _per_square(direction: Float) -> Float:
    """Return a direction in which an image that is so far along it holds 1."""
    found: Float = direction / max(float(direction @ direction), 1e-9)
    return found
