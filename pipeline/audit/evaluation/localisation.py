"""Whether a map lies on the objects' boxes: scores of one map (cells,) each, on the grid.

``cover`` (cells,) is the part of every cell inside the boxes; a cell counts as inside if more than
half of it is. Pointing game, energy and area are in :mod:`pipeline.measures.boxes`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Float = NDArray[np.float64]


def lift(p: Float, cover: Float) -> float:
    """Return the share of the map inside the boxes over the share of the image they cover.

    1 for a uniform map; NaN without boxes or mass.
    """
    area, mass = cover.mean(), p.sum()
    return float((p * cover).sum() / mass / area) if area > 0 and mass > 0 else float("nan")


def rank_accuracy(p: Float, cover: Float) -> float:
    """Return the share of the K highest cells that are inside, K the number of cells inside.

    Relevance rank accuracy of Arras et al., "CLEVR-XAI", 2022, section 3.2. Equal cells share
    their places: the expected value over all ways to order them. NaN without a cell inside.
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
