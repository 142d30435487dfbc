"""Verdicts: whether a suspected place is used, with the rates of its test as bars."""

from dataclasses import dataclass

from pipeline.audit.entry import CONFIRMATIONS
from pipeline.store import Run

_BARS = (
    ("pasted", "pasted onto other classes", "the hot cells of the images that look there"),
    ("mirrored", "the cells on their other side", "its control: what any corner of them brings"),
    ("random", "the same cells of random images", "its control: what any patch does"),
    ("erased", "erased from images that look there", "neither filling leaves them their class"),
    ("plain", "erased from other images of the class", "its control"),
)


@dataclass(frozen=True)
class Bar:
    """A flip rate in [0, 1] with its interval; ``share`` is None where no image was tested."""

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
    bars: tuple[Bar, ...]


def read_verdicts(run: Run) -> dict[int, Verdict]:
    """Return the verdicts by finding; none where the findings were not put to the test."""
    if not run.exists(CONFIRMATIONS):
        return {}
    return {
        entry["finding"]: Verdict(
            word=entry["verdict"],
            sentence=entry["sentence"],
            bars=tuple(
                Bar(
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
        for entry in run.table(CONFIRMATIONS).to_pylist()
    }
