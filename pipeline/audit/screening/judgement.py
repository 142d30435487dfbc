"""Shortcut, part of the object, or no telling: what the last round says of a part.

The object of a class is potent in every model, so potency alone is no finding. A part of it works
in most images of the class, a shortcut in those that carry it and in no other, while the others are
recognised all the same; and what carriers share looks alike. A person decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control

from pipeline.audit.causal.confirmation import MARGIN
from pipeline.audit.screening.examination import Examined, chance
from pipeline.audit.stats.intervals import Rate, difference

FALSE = 0.05
"""False discovery rate over all classes and parts, of turning images at all."""

ALIKE = 0.05
"""False discovery rate of what carriers share being chance, over the parts that turn images."""

_MOST = 0.5
"""Share of an image that an overlay covers at most."""

_RATHER = 3.0
"""How many times more images carriers turn than the others, if only they carry it."""

_COVERED, _MORE = 0.25, 1.5
"""A part is the object's if both overlap so far, and so many times further than in others."""

WORDS = {
    "shortcut": "a shortcut",
    "object": "part of the object",
    "unclear": "a shortcut or a part of the object: cannot tell",
    "nothing": "no effect",
}
"""What a part can be."""


@dataclass(frozen=True)
class Judged:
    """An examined part; ``word`` is a key of ``WORDS``, ``verdict`` is as in confirmations.

    ``q`` is the false discovery rate of its effect, ``alike`` that of what carriers share.
    """

    examined: Examined
    word: str
    verdict: str
    q: float
    alike: float

    @property
    def gain(self) -> tuple[float, float]:
        """Interval of how many more images the carriers' part turns than any control."""
        return _gain(self.examined, self.examined.pasted)


def provable(candidates: int, tests: int) -> float:
    """Return the p-value above which an effect cannot be proven, of so many parts that are tested.

    That of Benjamini and Hochberg if all of them had an effect.
    """
    return FALSE * min(1.0, candidates / tests)


def judge(examined: Sequence[Examined], tests: int) -> list[Judged]:
    """Judge parts together; ``tests`` is the number of classes times parts that they come from."""
    if not examined:
        return []
    p = np.ones(max(tests, len(examined)))
    p[: len(examined)] = [chance(item.pasted, item.random) for item in examined]
    q = false_discovery_control(p)[: len(examined)]
    works = [
        bool(q[number] <= FALSE) and _gain(item, item.rest)[0] > 0
        for number, item in enumerate(examined)
    ]
    alike = np.ones(len(examined))
    if any(works):
        chances = np.array([item.candidate.chance for item in examined])
        alike[works] = false_discovery_control(chances[works])
    return [
        Judged(item, _word(item, works[n], alike[n]), _verdict(item), float(q[n]), float(alike[n]))
        for n, item in enumerate(examined)
    ]


def _word(item: Examined, works: bool, alike: float) -> str:
    if not works:
        return "nothing"
    if _on_object(item):
        return "object"
    apart = difference(item.pasted, item.others)[0] > 0
    if not apart or item.others.value * _RATHER > item.pasted.value:
        return "object"
    # What covers most of an image is the same picture twice.
    return "shortcut" if alike <= ALIKE and item.covers < _MOST else "unclear"


def _on_object(item: Examined) -> bool:
    """Return whether carriers have their object where the others do not have theirs."""
    inside, elsewhere = item.inside, item.others_inside
    if inside is None or elsewhere is None:
        return False
    return inside > _COVERED and inside > _MORE * elsewhere


def _verdict(item: Examined) -> str:
    """Return ``used``, ``seen`` or ``undecided``, by the rule of confirmations."""
    low, high = _gain(item, item.pasted)
    lost = difference(item.erased, item.plain)[0]
    if max(low, lost) > MARGIN:
        return "used"
    return "seen" if high < MARGIN else "undecided"


def _gain(item: Examined, pasted: Rate) -> tuple[float, float]:
    """Return the interval of the gain over the better control; the others are none."""
    gains = [difference(pasted, rate) for rate in (item.random, item.mirrored) if rate.images]
    if not gains:
        return -1.0, 1.0
    return min(low for low, _ in gains), min(high for _, high in gains)
