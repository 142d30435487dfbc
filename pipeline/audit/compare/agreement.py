"""Agreement: how far the maps and answers of two runs agree on the images they share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipeline.audit.compare.shared_images import Pairs
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.audit.text.numbers import figure, percent, rate
from pipeline.audit.text.quoting import quote

_SENTENCES = {
    "paired_jsd": "The flows are {value} bits apart, the mean over the {images} in both runs "
    "(Jensen–Shannon: 0 for the same flow, 1 for flows that share no cell).",
    "paired_rank_correlation": "The cells of the flows correlate with {value} (Spearman), the mean "
    "over the {images} in both runs.",
    "paired_agreement": "{share} of the answers to the {images} in both runs are the same.",
    "paired_accuracy": "{share} of the answers to the {images} in both runs are right in {own}, "
    "{other_share} in {other} (McNemar p = {p}).",
}
_SENTENCES["paired_right"] = _SENTENCES["paired_accuracy"]


def agreement(
    pairs: Pairs, names: Sequence[str], runs: tuple[str, str] = ("the first", "the other")
) -> list[dict[str, Any]]:
    """Return rows on all shared images, with a sentence each, and on those of every class.

    ``value`` is the mean over images and ``control`` what two equal runs have; of accuracy the
    first's and the other's, with the p-value of McNemar's exact test as ``q``.
    """
    groups: list[tuple[int | None, NDArray[np.bool_]]] = [(None, np.ones(len(pairs.rows), bool))]
    groups += [(int(label), pairs.label == label) for label in np.unique(pairs.label) if label >= 0]
    rows = []
    for number, chosen in groups:
        if chosen.sum() >= LEAST_IMAGES:
            rows += _rows(pairs, chosen, number, names, runs)
    return rows


def _rows(
    pairs: Pairs,
    chosen: NDArray[np.bool_],
    number: int | None,
    names: Sequence[str],
    runs: tuple[str, str],
) -> list[dict[str, Any]]:
    same = (pairs.predicted[0] == pairs.predicted[1])[chosen]
    found: list[tuple[str, float, float, float | None]] = [
        ("paired_jsd", float(np.nanmean(pairs.jsd[chosen])), 0.0, None),
        ("paired_rank_correlation", float(np.nanmean(pairs.correlation[chosen])), 1.0, None),
        ("paired_agreement", float(same.mean()), 1.0, None),
    ]
    right = pairs.right[:, chosen]
    right = right[:, (right >= 0).all(0)]
    if right.size:
        lost, won = int((right[0] > right[1]).sum()), int((right[0] < right[1]).sum())
        p = float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0
        name = "paired_right" if pairs.multi_label else "paired_accuracy"
        found.append((name, float(right[0].mean()), float(right[1].mean()), p))
    images = int(chosen.sum())
    return [
        {
            "kind": "paired",
            "class": number,
            "class_name": None if number is None else names[number],
            "statistic": statistic,
            "other_statistic": statistic,
            "images": images,
            "other_images": images,
            "value": value,
            "control": control,
            "psi": None,
            "q": p,
            "sentence": None
            if number is not None
            else _SENTENCES[statistic].format(
                images=f"{images:,} {'outputs of images' if pairs.multi_label else 'images'}",
                own=quote(runs[0]),
                other=quote(runs[1]),
                value=figure(value),
                share=percent(value),
                other_share=percent(control),
                p=rate(p or 0),
            ),
        }
        for statistic, value, control, p in found
    ]
