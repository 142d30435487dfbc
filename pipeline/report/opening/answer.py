"""The answer in ten seconds: plain sentences on a run, every number read from its data."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.atlas import Atlas
from pipeline.audit.finding import SEVERITIES, Finding
from pipeline.audit.text.numbers import percent
from pipeline.audit.text.quoting import visible
from pipeline.nouns import counted, part_of
from pipeline.report.opening.confusions import Answers
from pipeline.report.pages.labels import LabelLine
from pipeline.report.pages.verdicts import Verdict, state_of

NAMED = 3
"""Confusions that are named."""
_AGREEMENT = (
    (0.8, "works well"),
    (0.5, "works for most images"),
    (0.2, "is often wrong"),
    (0.05, "is mostly wrong"),
)
MOSTLY, SOMEWHAT = 2.0, 1.1
"""Multiples of a uniform map from which a place has most of the flow (of a quarter of the frame:
half of it), or somewhat more than elsewhere."""


@dataclass(frozen=True)
class Part:
    """A piece of a sentence; one that names a class or a finding leads to its page."""

    text: str
    class_id: int | None = None
    finding: int | None = None


@dataclass(frozen=True)
class Statement:
    """One answer: ``question`` in a word or two, and its sentences."""

    question: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The answer without its links."""
        return "".join(part.text for part in self.parts)


def works(answers: Answers, names: Sequence[str]) -> Statement:
    """Say whether the model works here: its accuracy against chance, its worst confusions."""
    if not answers.images:
        return Statement("Does it work?", (Part("Unknown: no image has a label."),))
    accuracy, chance = answers.right / answers.images, answers.chance
    kappa = (accuracy - chance) / (1 - chance) if chance < 1 else 1.0
    word = next(
        (word for least, word in _AGREEMENT if kappa >= least), "is hardly better than chance"
    )
    parts = [
        Part(
            f"The model {word}: {percent(accuracy)} of {counted(answers.images, 'image')} are "
            f"right; by chance it would be {percent(chance)}. "
        )
    ]
    worst = answers.confusions[:NAMED]
    if not worst:
        parts.append(Part("No two classes are confused often."))
    for place, item in enumerate(worst):
        start = "" if place else "Most often "
        end = "." if place == len(worst) - 1 else (" and " if place == len(worst) - 2 else ", ")
        parts += [
            Part(f"{start}{part_of(item.images, item.of, 'image')} of "),
            Part(f"“{visible(names[item.label])}”", class_id=item.label),
            Part(f" are called “{visible(names[item.answer])}”{end}"),
        ]
    return Statement("Does it work?", tuple(parts))


def works_by_label(lines: Sequence[LabelLine]) -> Statement:
    """Say how well labels are predicted, where images have several; the weakest ones by name.

    The average precision of scores given at random is the share of images with the label.
    """
    known = [line for line in lines if line.average_precision is not None]
    if not known:
        return Statement("Does it work?", (Part("Unknown: no image has a label."),))
    mean = sum(line.average_precision or 0.0 for line in known) / len(known)
    chance = sum(line.labelled / line.images for line in known) / len(known)
    many = counted(len(known), "label")
    parts = [
        Part(
            f"The mean average precision of {many} is {percent(mean)}; scores given at random "
            f"would have {percent(chance)}. Weakest: "
        )
    ]
    for place, line in enumerate(known[:NAMED]):
        end = "." if place == min(NAMED, len(known)) - 1 else ", "
        parts += [
            Part(f"“{visible(line.name)}”", class_id=line.id),
            Part(f" with {percent(line.average_precision or 0.0)}{end}"),
        ]
    return Statement("Does it work?", tuple(parts))


def looks(atlas: Atlas, grid: tuple[int, int]) -> Statement:
    """Say where the flow is: the middle, the border, the objects, each against a uniform map."""
    high, wide = grid
    ring = 1 - max(high - 2, 0) * max(wide - 2, 0) / (high * wide)
    centre, border = (_mean(atlas, f"{name}_flow") for name in ("centre", "border"))
    if not np.isfinite([centre, border]).all():
        return Statement("Where does it look?", (Part("Unknown: no image has a flow."),))
    text = (
        f"It looks {_where(centre, border)}: {percent(centre / 4)} of the flow is in the middle "
        f"quarter of the frame and {percent(border * ring)} in the outermost ring of cells; spread "
        f"evenly it would be 25 % and {percent(ring)}."
    )
    if "box_energy_flow" in atlas.columns:
        inside, area = _mean(atlas, "box_energy_flow"), _mean(atlas, "box_area")
        if np.isfinite([inside, area]).all():
            text += (
                f" {percent(inside)} of it is inside the objects' boxes, which cover "
                f"{percent(area)} of the frame."
            )
    return Statement("Where does it look?", (Part(text),))


def _where(centre: float, border: float) -> str:
    """Say in words where the flow is; both as multiples of what a uniform map has there."""
    if centre >= MOSTLY:
        return "mostly at the middle"
    if centre >= SOMEWHAT and centre > border:
        return "all over the image, a little more at the middle"
    if border >= SOMEWHAT:
        return "all over the image, more at the border than at the middle"
    return "all over the image, almost evenly"


def suspicion(findings: Sequence[Finding], verdicts: Mapping[int, Verdict]) -> Statement:
    """Say what the audit found, by severity, and what of it was put to the test."""
    question = "What is suspicious?"
    if not findings:
        return Statement(question, (Part("Nothing stood out in the audit."),))
    severities = Counter(found.severity for found in findings)
    shares = [f"{severities[name]:,} {name}" for name in SEVERITIES if severities[name]]
    first = findings[0]
    states = Counter(state_of(found, verdicts.get(found.number)) for found in findings)
    tested = [
        f"{states[key]:,} {words}"
        for key, words in (
            ("used", "proven to be used"),
            ("seen", "seen but not used"),
            ("undecided", "tested without a decision"),
            ("untested", "not tested yet"),
        )
        if states[key]
    ]
    if len(findings) == 1:  # its only number is its severity's and its state's, too
        severity, state = first.severity, "".join(f", {words[2:]}" for words in tested)
        many = f"1 finding ({severity}{state}): "
    else:
        inside = "; ".join([", ".join(shares), *tested])
        many = f"{counted(len(findings), 'finding')} ({inside}). First: "
    return Statement(question, (Part(many), Part(visible(first.sentence), finding=first.number)))


def unexamined(gaps: Iterable[str]) -> Statement:
    """Say what was not looked for, and why."""
    found = list(gaps)
    text = " ".join(found) if found else "Nothing that this audit can look for was left out."
    return Statement("What was not looked for?", (Part(text),))


def _mean(atlas: Atlas, column: str) -> float:
    """Return the mean of a column over all images; NaN where it is defined for none."""
    if column not in atlas.columns:
        return float("nan")
    mean, _, images = atlas.column_moments(column)
    total = int(images.sum())
    return float(np.nansum(mean * images) / total) if total else float("nan")


def as_text(statements: Iterable[Statement]) -> str:
    """Return the statements as lines for a terminal."""
    return "\n".join(f"{item.question} {item.text}" for item in statements)
