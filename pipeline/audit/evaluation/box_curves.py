"""PxAP and MaxBoxAccV2 of a set of images: counts of one image each, which add up.

Both are of Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", 2020
(section 3.3) and 2022 (MaxBoxAccV2), and both choose or sweep one threshold for all images. So they
are no means over images: the images' integer counts are summed first. A map is scaled to [0, 1] by
its least and greatest cell and taken as it is stored, a cell a block of pixels; nothing is smoothed
by enlarging it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.ndimage import label as components

Float = NDArray[np.float64]
Counts = NDArray[np.int64]

LEVELS = 1000
"""Steps of the thresholds of PxAP."""
CELL = 1 << 16
"""What a whole cell counts: the parts of cells that boxes cover are rounded to 1 / CELL."""
THRESHOLDS = 100
"""Thresholds 0, 0.01, …, 0.99 of MaxBoxAccV2."""
OVERLAPS = (0.3, 0.5, 0.7)
"""Least intersection over union for a box to count as found; the score is the mean of the three."""

_TOUCHING = np.ones((3, 3), bool)


def pixel_counts(p: Float, cover: Float) -> Counts:
    """Return the area of each level of a map (cells,), inside the boxes and outside, (2, LEVELS).

    A level holds cells with floor(LEVELS · p), p scaled to [0, 1]; the highest holds 1 as well.
    """
    levels = np.minimum((_scaled(p) * LEVELS).astype(np.int64), LEVELS - 1)
    inside = np.rint(cover * CELL).astype(np.int64)
    found = np.zeros((2, LEVELS), np.int64)
    np.add.at(found[0], levels, inside)
    np.add.at(found[1], levels, CELL - inside)
    return found


def pixel_average_precision(counts: Counts) -> float:
    """Return PxAP = Σ_l Prec(τ_l) (Rec(τ_l) − Rec(τ_{l+1})) of summed counts; NaN without boxes.

    The share of the boxes' area for a map that is the same everywhere.
    """
    inside, outside = (np.cumsum(part[::-1]) for part in counts)
    if not inside[-1]:
        return float("nan")
    shown = inside + outside
    precision = inside[shown > 0] / shown[shown > 0]
    recall = np.diff(inside / inside[-1], prepend=0.0)[shown > 0]
    return float((precision * recall).sum())


def box_counts(p: Float, boxes: Float, grid: tuple[int, int]) -> Counts:
    """Return 1 where a map finds a box, else 0, for each overlap and threshold (3, THRESHOLDS).

    Found boxes are those around the connected components of the cells that reach the threshold;
    cells that touch at a corner are connected. The best pair of a found and a true box counts.

    Parameters
    ----------
    p
        The map, (cells,).
    boxes
        (K, 4) x0, y0, x1, y1 in fractions of the input, K ≥ 1; rows of NaN are padding.
    grid
        Rows and columns of the map.
    """
    scaled = _scaled(p).reshape(grid)
    true = np.clip(boxes[np.isfinite(boxes).all(1)], 0, 1)
    best = np.zeros(THRESHOLDS)
    before = -1
    for step in range(THRESHOLDS):
        shown = scaled >= step / THRESHOLDS
        count = int(shown.sum())
        if count != before:  # fewer cells than at the threshold before
            overlap = _overlap(_boxes_around(shown), true)
        best[step], before = overlap, count
    return np.stack([best >= least for least in OVERLAPS]).astype(np.int64)


def max_box_accuracy(counts: Counts, images: int) -> float:
    """Return MaxBoxAccV2: the mean over overlaps of the best threshold's share of images."""
    return float(counts.max(1).mean() / images) if images else float("nan")


def _scaled(p: Float) -> Float:
    """Scale a map to [0, 1]; one that is the same everywhere is 1, as all of it is shown."""
    low, span = p.min(), np.ptp(p)
    return np.asarray((p - low) / span) if span > 0 else np.ones_like(p)


def _boxes_around(shown: NDArray[np.bool_]) -> Float:
    """Return the boxes (K, 4) around the components of shown cells, in fractions."""
    numbered, _ = components(shown, _TOUCHING)
    height, width = shown.shape
    found = [
        (across.start / width, down.start / height, across.stop / width, down.stop / height)
        for down, across in find_objects(numbered)
    ]
    return np.array(found).reshape(-1, 4)


def _overlap(found: Float, true: Float) -> float:
    """Return the greatest intersection over union of any two boxes (K, 4), (M, 4)."""
    low = np.maximum(found[:, None, :2], true[None, :, :2])
    high = np.minimum(found[:, None, 2:], true[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    union = _area(found)[:, None] + _area(true)[None] - shared
    return float((shared / np.where(union > 0, union, 1)).max(initial=0.0))


def _area(boxes: Float) -> Float:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(-1))
