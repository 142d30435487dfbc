"""Do several labels per image mean the model's outputs? Judged by how well outputs separate labels.

Where images have several labels there is no confusion matrix that a wrong label space would
permute. But if the labels are the model's outputs, the images with a label have higher scores of
its own output than those without it (AUROC above ½), and no output of another label, which has
lost its own images too, separates them far better.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pipeline.audit.finding import SHOWN, Finding
from pipeline.audit.multi_label.images import labelled_images
from pipeline.audit.multi_label.scores import LabelScores
from pipeline.audit.text.numbers import figure
from pipeline.audit.text.quoting import quote
from pipeline.nouns import agreeing, counted
from pipeline.store import Run

LEAST_IMAGES = 5
"""Images with and without a label from which it is judged."""
WELL = 0.75
"""AUROC from which another output separates a label."""
NO_BETTER = 0.6
"""Upper end of the mean AUROC below which outputs are of no use."""
_ALPHA = 0.001
_CHANCE, _SURE = norm.isf(0.05), norm.isf(0.005)

Float = NDArray[np.float64]


@dataclass(frozen=True)
class MultiLabelFault:
    """What is wrong with the labels: ``moved`` are (label, output) by their places.

    ``auroc`` is the mean of ``labels`` labels; ``by_chance`` says that it is no better than ½.
    """

    moved: tuple[tuple[int, int], ...]
    auroc: float
    labels: int
    by_chance: bool


def judge_multi_label(scores: LabelScores) -> MultiLabelFault | None:
    """Return what is wrong with the labels; None: nothing.

    Labels count as moved if the images of each are separated by the output of another one that has
    moved itself (a cycle, as a permutation has them) by an AUROC of at least ``WELL`` and
    significantly better than by their own output (Hanley and McNeil; 0.001, all labels together).
    A weak label in the company of another one is no cycle: the other's own output is its best.
    They are no better than chance if their mean AUROC is not
    above ½ (0.05), and surely below ``NO_BETTER``; its error is that of one label, because labels
    that occur together are not independent.
    """
    count = scores.count
    judged = np.flatnonzero((count >= LEAST_IMAGES) & (scores.images - count >= LEAST_IMAGES))
    if len(judged) < 2:
        return None
    moved = _moved(scores, judged)
    own = scores.auroc[judged]
    error = float(np.mean(hanley_mcneil(own, count[judged], scores.images - count[judged])))
    mean = float(own.mean())
    by_chance = mean - _CHANCE * error <= 0.5 and mean + _SURE * error < NO_BETTER
    if not moved and not by_chance:
        return None
    return MultiLabelFault(moved, mean, len(judged), by_chance)


def _moved(scores: LabelScores, judged: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    count, separation = scores.count, scores.separation
    best = {int(label): int(np.nanargmax(separation[label])) for label in judged}
    away = {}
    for label, output in best.items():
        own, other = separation[label, label], separation[label, output]
        sizes = count[label], scores.images - count[label]
        errors = hanley_mcneil(np.array([own, other]), *sizes)
        surely = norm.sf((other - own) / np.hypot(*errors)) <= _ALPHA / len(judged)
        if output != label and other >= WELL and surely:
            away[label] = output
    while stuck := [label for label, output in away.items() if output not in away]:
        for label in stuck:
            del away[label]
    return tuple(away.items()) if len(set(away.values())) == len(away) else ()


def hanley_mcneil(auroc: Float, positive: object, negative: object) -> Float:
    """Return the standard error of an AUROC (Hanley and McNeil 1982), at least that of one rank."""
    n, m = np.asarray(positive, np.float64), np.asarray(negative, np.float64)
    a = np.clip(auroc, 0.5 / (n * m), 1 - 0.5 / (n * m))
    one, two = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + (n - 1) * (one - a * a) + (m - 1) * (two - a * a)) / (n * m)
    return np.asarray(np.sqrt(variance))


def find_multi_label_faults(run: Run, scores: LabelScores) -> list[Finding]:
    """Return one finding if the labels of a run do not look like the model's outputs."""
    fault = judge_multi_label(scores)
    if fault is None:
        return []
    return [
        Finding(
            kind="labels",
            severity="high",
            class_id=None,
            statistic="auroc",
            value=fault.auroc,
            control=0.5,
            effect=fault.auroc - 0.5,
            images=scores.images,
            sentence=multi_label_sentence(fault, scores, run.spec.classes),
            evidence=_evidence(run, fault, scores),
        )
    ]


def multi_label_sentence(
    fault: MultiLabelFault, scores: LabelScores, names: tuple[str, ...]
) -> str:
    """Say what is wrong with the labels, with an example and the next step."""
    mean = f"the mean AUROC of {counted(fault.labels, 'label')} is {figure(fault.auroc)}"
    chance = ", no better than chance (0.5)" if fault.by_chance else ""
    step = "check which output each class is (dataset.labels, dataset.classes) before you read on"
    if not fault.moved:
        return f"The labels or the model are wrong: {mean}{chance}; {step}."
    label, output = fault.moved[0]
    own, other = (quote(names[scores.classes[place]]) for place in (label, output))
    return (
        f"The label space looks permuted: images labelled {own} are separated by the output "
        f"{other} (AUROC {figure(scores.separation[label, output])}), not by their own "
        f"({figure(scores.separation[label, label])}); {counted(len(fault.moved), 'label')} "
        f"{agreeing(len(fault.moved), 'is', 'are')} affected; {mean}{chance}; {step}."
    )


def _evidence(
    run: Run, fault: MultiLabelFault, scores: LabelScores
) -> tuple[tuple[int, float], ...]:
    """Return images of a moved label, those with the highest score of its other output first."""
    if not fault.moved:
        return ()
    label, output = (int(scores.classes[place]) for place in fault.moved[0])
    rows, logits = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for part in labelled_images(run, np.array([output])):
        own = part.labels[:, [label]].toarray()[:, 0] > 0
        rows.append(part.rows[own])
        logits.append(part.logits[own, 0])
    row, logit = np.concatenate(rows), np.concatenate(logits)
    order = np.lexsort((row, -logit))[:SHOWN]
    shown = 1 / (1 + np.exp(-logit[order].astype(np.float64)))
    return tuple(zip(row[order].tolist(), shown.tolist(), strict=True))
