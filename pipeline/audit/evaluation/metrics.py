"""The metrics of an evaluation: what they are called, how they add up, and which way is good."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CORRELATION = "rank_correlation"
GAIN = "gain"
PXAP = "pxap"
MAX_BOX = "max_box"

MODEL = "model"
"""In place of a map's name, where a score is of the model itself."""


@dataclass(frozen=True)
class Metric:
    """A metric: its heading, what of its values is good, and how images add up to it.

    ``kind`` is ``mean`` or ``rate`` (0 or 1 of each image) of the images, or ``curve``, which is
    computed from counts of all images together.
    """

    heading: str
    better: Literal["high", "low", "none"] = "high"
    kind: Literal["mean", "rate", "curve"] = "mean"


METRICS: Mapping[str, Metric] = {
    CORRELATION: Metric("rank correlation with occlusion"),
    GAIN: Metric("the same, more than the run's own"),
    "deletion": Metric("deletion", "low"),
    "insertion": Metric("insertion"),
    "pair_share": Metric("share on the explained one of two images"),
    "pair_win": Metric("more on the explained one of two images", kind="rate"),
    "pairs_used": Metric("pairs of which each half is used for its class", "none", "rate"),
    "randomised": Metric("rank correlation with shuffled weights", "low"),
    "pointing": Metric("pointing game", kind="rate"),
    "energy": Metric("energy in boxes"),
    "lift": Metric("energy in boxes ÷ area"),
    "rank_accuracy": Metric("relevance rank accuracy"),
    "auc": Metric("AUC of cells in boxes"),
    PXAP: Metric("PxAP", kind="curve"),
    MAX_BOX: Metric("MaxBoxAccV2", kind="curve"),
}
"""Metric → what it is, in the order of the tables."""
