"""Whether a map lies on the objects' boxes: scores of one map (cells,) each, on the grid.

``cover`` (cells,) is the part of every cell inside the boxes; a cell counts as inside if more than
half of it is. Equal cells have no order: where one matters, a score is its mean over all orders, so
that a map that is the same everywhere gets what chance does.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pipeline.measures.boxes import TOLERANCE

Float = NDArray[np.float64]


def pointing(p: Float, boxes: Float, grid: tuple[int, int], tolerance: float = TOLERANCE) -> float:
    """Return whether the highest cell points at a box: 1 or 0, between them where several are.

    The pointing game of Zhang et al., "Top-down neural attention by excitation backprop", 2018,
    section 4.1: the cell's centre lies in a box that is enlarged on every side by ``tolerance``,
    a fraction of the input (15 pixels of 224).

    Parameters
    ----------
    p
        The map, (cells,).
    boxes
        (K, 4) x0, y0, x1, y1 in fractions of the input; rows of NaN are padding.
    grid
        Rows and columns of the map.
    tolerance
        0 for the centre inside the box itself.

    Returns
    -------
    float
        In [0, 1]; NaN without a box.
    """
    x0, y0, x1, y1 = boxes[np.isfinite(boxes).all(1)].T
    fine = (np.minimum(x1, 1) > np.maximum(x0, 0)) & (np.minimum(y1, 1) > np.maximum(y0, 0))
    if not fine.any():
        return float("nan")
    highest = np.flatnonzero(p == p.max())
    y = (highest[:, None] // grid[1] + 0.5) / grid[0]
    x = (highest[:, None] % grid[1] + 0.5) / grid[1]
    inside = (x0 - tolerance <= x) & (x <= x1 + tolerance)
    inside &= (y0 - tolerance <= y) & (y <= y1 + tolerance)
    return float(inside[:, fine].any(1).mean())


def energy(p: Float, cover: Float) -> float:
    """Return the share of the map inside the boxes, in [0, 1]; NaN without boxes or mass.

    The energy-based pointing game of Wang et al., "Score-CAM", 2020, section 4.3.
    """
    mass = p.sum()
    return float((p * cover).sum() / mass) if cover.any() and mass > 0 else float("nan")


def lift(p: Float, cover: Float) -> float:
    """Return the share of the map inside the boxes over the share of the image they cover.

    1 for a uniform map; NaN without boxes or mass.
    """
    area = cover.mean()
    return energy(p, cover) / float(area) if area > 0 else float("nan")


def rank_accuracy(p: Float, cover: Float) -> float:
    """Return the share of the K highest cells that are inside, K the number of cells inside.

    Relevance rank accuracy of Arras et al., "CLEVR-XAI", 2022, section 3.2. NaN without a cell
    inside.
    """
    inside = cover > 0.5
    count = int(inside.sum())
    if not count:
        return float("nan")
    edge = np.sort(p)[::-1][count - 1]
    above, equal = p > edge, p == edge
    share = (count - above.sum()) / equal.sum()
    return float(((above & inside).sum() + share * (equal & inside).sum()) / count)


def auc(p: Float, cover: Float) -> float:
    """Return the probability that a cell inside is higher than one outside, equal ones count half.

    The area under the ROC curve (Mann–Whitney); NaN unless there are cells inside and outside.
    """
    inside = cover > 0.5
    count, others = int(inside.sum()), int((~inside).sum())
    if not count or not others:
        return float("nan")
    ranks = rankdata(p)
    return float((ranks[inside].sum() - count * (count + 1) / 2) / (count * others))
