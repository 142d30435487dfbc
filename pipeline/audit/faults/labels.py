"""Do the labels mean the model's outputs? A wrong label space makes every accuracy wrong.

The counts of images by label and prediction (the confusion matrix) show it: an accuracy that chance
would have, too; classes whose images are all answered with the output of another class that has
lost its own; a class that is never the answer while one output without a class takes all its
images. A weak model does none of these: it loses images to many outputs, or to one that is also
the answer to its own images.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import binom

from pipeline.audit.finding import SHOWN, Finding
from pipeline.audit.stats.intervals import Rate
from pipeline.audit.text.quoting import quote
from pipeline.nouns import counted
from pipeline.store import Run, Status

LEAST_IMAGES = 5
"""Images of a class from which it is judged."""
_ALPHA = 0.001
"""All classes and outputs together."""
_BY_CHANCE = 0.05
"""Of a class whose images go to a free output in an honest model, at most."""
_NEARLY_ALL = 0.9
_BETTER = 0.05
_USABLE = 0.1
"""How far above chance an accuracy is by which a model is of any use."""

Counts = Mapping[tuple[int, int], int]
"""(label, prediction) → images."""


@dataclass(frozen=True)
class Moved:
    """A class whose images are answered with another output: ``images`` of ``of``."""

    label: int
    output: int
    images: int
    of: int


@dataclass(frozen=True)
class LabelFault:
    """What is wrong with the labels.

    ``moved`` are the classes that are answered with the output of another; ``chance`` the accuracy
    that independent predictions of the same frequencies have; ``by_chance`` whether that is all
    that the model has.
    """

    moved: tuple[Moved, ...]
    accuracy: float
    chance: float
    images: int
    by_chance: bool


def judge_labels(counts: Counts) -> LabelFault | None:
    """Return what is wrong with the labels of images with these predictions; None: nothing.

    Accuracy is no better than chance if a binomial test (one-sided, 0.05) against the agreement
    that the frequencies of labels and predictions alone have does not say so, *and* the upper end
    of its interval (Wilson, 99 %) is less than ten points above that: few images prove nothing.
    """
    labels, answers = Counter[int](), Counter[int]()
    for (label, answer), images in counts.items():
        labels[label] += images
        answers[answer] += images
    total = sum(labels.values())
    if not total:
        return None
    right = sum(images for (label, answer), images in counts.items() if label == answer)
    expected = sum(labels[label] * answers[label] for label in labels) / total**2
    chance = max(expected, 1 / len(labels))
    high = Rate(right, total, 0.99).interval[1]
    no_better = bool(binom.sf(right - 1, total, expected) > _BETTER) if right else True
    by_chance = len(labels) > 1 and no_better and high < chance + _USABLE
    moved = _moved(counts, labels)
    if not moved and not by_chance:
        return None
    return LabelFault(moved, right / total, chance, total, by_chance)


def _moved(counts: Counts, labels: Counter[int]) -> tuple[Moved, ...]:
    """Return the classes whose images have gone to an output that is free, in order.

    An output is free if it is not a class of the dataset, or one whose own images have gone
    elsewhere, too: cycles and chains, as a permutation or a shift has them. A class counts if more
    than half of its images have gone there and a sign test against its own output says so (0.001,
    all classes together), or if so many classes do it that chance would not (each 0.05).
    """
    first: dict[int, tuple[int, int]] = {}
    for (label, answer), images in sorted(counts.items()):
        if images > first.get(label, (0, 0))[1]:
            first[label] = answer, images
    judged = [label for label in sorted(labels) if labels[label] >= LEAST_IMAGES]
    away = {
        label: Moved(label, answer, images, labels[label])
        for label in judged
        for answer, images in [first[label]]
        if answer != label and 2 * images > labels[label]
    }
    outputs = Counter(move.output for move in away.values())
    free = {label: move for label, move in away.items() if outputs[move.output] == 1}
    while stuck := [move for move in free.values() if not _is_free(move, free, labels, counts)]:
        for move in stuck:
            del free[move.label]
    if free and binom.sf(len(free) - 1, len(judged), _BY_CHANCE) <= _ALPHA:
        return tuple(free.values())
    return tuple(move for move in free.values() if _sign_test(move, counts) <= _ALPHA / len(judged))


def _is_free(
    move: Moved, free: Mapping[int, Moved], labels: Mapping[int, int], counts: Counts
) -> bool:
    if move.output in labels:
        own = counts.get((move.output, move.output), 0)
        return move.output in free or own <= (1 - _NEARLY_ALL) * labels[move.output]
    return not counts.get((move.label, move.label)) and move.images >= _NEARLY_ALL * move.of


def _sign_test(move: Moved, counts: Counts) -> float:
    own = counts.get((move.label, move.label), 0)
    return float(binom.sf(move.images - 1, move.images + own, 0.5))


def find_label_faults(run: Run) -> list[Finding]:
    """Return one finding if the labels of a run do not look like the model's outputs."""
    counts = Counter[tuple[int, int]]()
    for batch in run.summary().to_batches(columns=["status", "label", "pred"]):
        label, answer = _pairs(batch)
        if not len(label):
            continue
        found, images = np.unique(np.stack([label, answer]), axis=1, return_counts=True)
        for pair, number in zip(found.T.tolist(), images.tolist(), strict=True):
            counts[(pair[0], pair[1])] += number
    fault = judge_labels(counts)
    if fault is None:
        return []
    return [
        Finding(
            kind="labels",
            severity="high",
            class_id=None,
            statistic="accuracy",
            value=fault.accuracy,
            control=fault.chance,
            effect=fault.accuracy - fault.chance,
            images=fault.images,
            sentence=label_sentence(fault, run.spec.classes),
            evidence=_evidence(run, fault),
        )
    ]


def label_sentence(fault: LabelFault, names: Sequence[str]) -> str:
    """Say what is wrong with the labels, with an example and the next step."""
    accuracy = f"accuracy is {fault.accuracy:.1%} of {counted(fault.images, 'image')}"
    chance = f"no better than chance ({fault.chance:.1%})" if fault.by_chance else ""
    step = "check which output each class is (dataset.labels, dataset.classes) before you read on"
    if not fault.moved:
        return f"The labels or the model are wrong: {accuracy}, {chance}; {step}."
    by_label = {move.label: move for move in fault.moved}
    one = next((move for move in fault.moved if move.output in by_label), fault.moved[0])
    looks = "The label space looks permuted"
    if one.output not in by_label:
        looks = "Labels and outputs do not fit together"
    example = f"{_all(one)} of {quote(names[one.label])} are predicted {quote(names[one.output])}"
    if other := by_label.get(one.output):
        example += f", and of {quote(names[other.label])} {quote(names[other.output])}"
    more = f"; {counted(len(fault.moved), 'class')} are affected" if len(fault.moved) > 2 else ""
    rest = f"; {accuracy}, {chance}" if chance else f"; {accuracy}"
    return f"{looks}: {example}{more}{rest}; {step}."


def _all(move: Moved) -> str:
    return (
        f"all {counted(move.of, 'image')}"
        if move.images == move.of
        else f"{move.images} of {move.of}"
    )


def _pairs(batch: object) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    columns = {name: batch.column(name) for name in ("status", "label", "pred")}  # type: ignore[attr-defined]
    used = pc.equal(columns["status"], int(Status.OK))
    used = pc.and_(used, pc.and_(columns["label"].is_valid(), columns["pred"].is_valid()))
    label, answer = (np.asarray(columns[name].filter(used), np.int64) for name in ("label", "pred"))
    return label, answer


def _evidence(run: Run, fault: LabelFault) -> tuple[tuple[int, float], ...]:
    """Return the surest wrong images, of moved classes where there are some."""
    wanted = pc.field("correct") == False  # noqa: E712 (an expression of Arrow's)
    if fault.moved:
        wanted &= pc.field("label").isin([move.label for move in fault.moved])
    table = run.summary().to_table(columns=["row", "confidence"], filter=wanted)
    table = table.sort_by([("confidence", "descending"), ("row", "ascending")])[:SHOWN]
    sure = np.nan_to_num(table["confidence"].to_numpy()).tolist()
    return tuple(zip(table["row"].to_pylist(), sure, strict=True))
