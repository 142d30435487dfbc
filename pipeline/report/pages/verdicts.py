"""Verdicts: whether a suspected place is used, with the rates of its test as bars."""

from dataclasses import dataclass
from typing import Any

from pipeline.audit.causal.confirmation import LEVEL, MARGIN
from pipeline.audit.finding import Finding
from pipeline.audit.findings_table import CONFIRMATIONS
from pipeline.audit.text.names import shortened
from pipeline.store import Run

_BARS = (
    ("pasted", "pasted onto other classes", "the focus cells of the images that look there"),
    ("mirrored", "the cells on their other side", "its control: what any corner of them brings"),
    ("random", "the same cells of random images", "its control: what any patch does"),
    ("erased", "erased from images that look there", "lost the class with both fillings"),
    ("plain", "erased from other images of the class", "its control"),
)


STATES = {
    "used": "used",
    "seen": "seen but not used",
    "undecided": "undecided",
    "untested": "not tested",
    "placeless": "names no place to test",
}
"""What is known about the use of a finding's place."""

_POINTS = f"{100 * MARGIN:.0f} points"
RULE = (
    (
        "pasted",
        "The focus cells, the fewest that hold 80 % of the flow by which the images that look "
        "there exceed others of the class, are copied from those images onto images of other "
        "classes. How many become the class? Two controls: the cells on the other side of the "
        "same images (a border has no other side), and the same cells of random images.",
    ),
    (
        "erased",
        "The focus cells of the images that look there are filled with the mean colour, and "
        "separately blurred; an image counts if it loses the class both times. The control is the "
        "same done to images of the class that do not look there.",
    ),
    (
        "used",
        f"One of the two tests suffices: a gain of more than {_POINTS} over every control is "
        f"proven, that is, the lower end of its interval ({100 * LEVEL:.1f} % each, so that both "
        "tests together err in at most 5 %) is above that.",
    ),
    (
        "seen but not used",
        f"Pasting cannot gain {_POINTS} or more: the upper end of its interval is below that. "
        "Erasing cannot show this, because an image has other evidence of its class.",
    ),
    ("undecided", "Neither is proven; more images that look there may decide it."),
)
"""How a verdict is reached, (name, words)."""

LEAD_RULE = (
    "A lead is a candidate too rare to prove by counting, tested by transplanting: it is a finding "
    "because pasting provably gains over both controls, with and without the patch that works "
    "best; all leads of the run together err in at most 5 %."
)
"""How a lead becomes a finding."""

SCREENED_RULE = (
    "What some images of a class have in common was estimated from all of them and put onto images "
    "of other classes, whatever the maps say. Here “look there” means: these images have it. It is "
    "called a shortcut because it turns images of other classes (one false discovery rate for all "
    "classes and parts), because what the other images of the class have in common turns at most a "
    "third as many, though the model recognises them all the same, and because hardly any image of "
    "other classes has it. A person decides."
)
"""How a part becomes a finding."""


@dataclass(frozen=True)
class Bar:
    """A flip rate in [0, 1] with its interval; ``share`` is None where no image was tested."""

    key: str
    """Name of the test in ``audit/confirmations.parquet``."""
    title: str
    note: str
    share: float | None
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Verdict:
    """``word`` is ``used``, ``seen`` or ``undecided``."""

    word: str
    sentence: str
    gains: str
    """The intervals of both gains over the controls, as a sentence."""
    gain: tuple[tuple[str, float, float], ...]
    """The same as (test, low, high), in [-1, 1]; the tests are ``paste`` and ``erase``."""
    bars: tuple[Bar, ...]


def read_verdicts(run: Run) -> dict[int, Verdict]:
    """Return the verdicts by finding; none where the findings were not put to the test."""
    if not run.exists(CONFIRMATIONS):
        return {}
    entries = run.table(CONFIRMATIONS).to_pylist()
    sentences = shortened([entry["sentence"] for entry in entries], run.spec.classes)
    return {
        entry["finding"]: Verdict(
            word=entry["verdict"],
            sentence=sentence,
            gains=_gains(entry),
            gain=tuple(
                (test, entry[f"{test}_gain_low"], entry[f"{test}_gain_high"])
                for test in ("paste", "erase")
            ),
            bars=tuple(
                Bar(
                    key,
                    title,
                    note,
                    entry[f"{key}_rate"],
                    entry[f"{key}_low"],
                    entry[f"{key}_high"],
                    entry[f"{key}_images"],
                )
                for key, title, note in _BARS
            ),
        )
        for entry, sentence in zip(entries, sentences, strict=True)
        if entry["finding"] is not None
    }


def state_of(finding: Finding, verdict: Verdict | None) -> str:
    """Return a key of ``STATES``: the verdict, or why there is none."""
    if verdict:
        return verdict.word
    return "placeless" if finding.place is None else "untested"


def _gains(entry: dict[str, Any]) -> str:
    def points(test: str) -> str:
        low, high = (100 * entry[f"{test}_gain_{end}"] for end in ("low", "high"))
        return f"{low:.1f} to {high:.1f} points".replace("-", "\u2212")

    return f"Gain over the controls: {points('paste')} by pasting, {points('erase')} by erasing."
