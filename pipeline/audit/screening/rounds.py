"""Rounds: few donors and recipients for every class and part, more for the few that are left.

Successive halving (Jamieson & Talwalkar, 2016). The first round tries every part of some donors of
every class on one recipient each, and of more donors the properties, which most images lack. The
second tries the parts that seem to work in some donors, and not in the others, with more donors.
Recipients are never met twice by a donor, so what one round has chosen, the next one tests anew.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audit.causal.predictions import load_each
from pipeline.audit.screening.groups import Split, split
from pipeline.audit.screening.likeness import likeness
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.rarity import rarity
from pipeline.audit.screening.selection import ClassDonors, Selection
from pipeline.audit.screening.spots import compared
from pipeline.audit.screening.trials import Result, Stage, Trial
from pipeline.engine import Attempt, Engine, Job
from pipeline.engine.context import Context, open_context
from pipeline.errors import FlowatlasError
from pipeline.progress import Progress
from pipeline.store import Run, Unit

Float = NDArray[np.float64]

ATTEMPTS = 3
FIRST, SECOND = 10, 24
"""Most donors of a class in the first and in the second round."""

LEAST_DONORS = 6
"""Images that the model gets right below which a class is not screened."""

AGAIN = 4
"""Recipients of each donor in the second round."""

_DRAWS = 199

KEPT = 4
"""Most parts of one class that a round leaves for the next."""

_CELLS = 112
"""Cells of a side on which regions are compared."""


Performed = tuple[int, Result, Float]
"""Number and result of a trial, and how likely the likeness of each part's carriers is."""


@dataclass(frozen=True)
class Candidate:
    """A part of a class with the mean gain of every donor tried, (D,), and their split."""

    class_id: int
    part: str
    donors: tuple[int, ...]
    gains: tuple[float, ...]
    tried: int
    """Recipients that each of them has met."""
    chance: float = 1.0
    """How likely it is that the last round's carriers look as alike as they do."""

    @property
    def split(self) -> Split | None:
        """Carriers and others."""
        return split(np.array(self.gains))

    @property
    def score(self) -> float:
        """Rank among candidates: what works in some donors only, and looks alike in these.

        The score of the split, and a logit for each factor of ten that the likeness is less likely
        by chance; below 0 without a split.
        """
        found = self.split
        return found.score - float(np.log10(self.chance)) if found else -1.0


class ScreenWorker:
    """Performs trials; see :class:`pipeline.engine.Worker`. Recipients are read once."""

    def __init__(self, trials: Sequence[Trial], selection: Selection, context: Context) -> None:
        self._trials, self._context = trials, context
        self._stage = Stage(selection, context)

    def read(self, attempt: Attempt) -> tuple[int, list[Tensor | None]]:
        """Read the donors of a trial."""
        number = attempt.unit.id
        return number, load_each(self._trials[number].donors, self._context)

    def compute(self, reading: tuple[int, list[Tensor | None]]) -> Performed:
        """Put parts of the donors onto recipients, ask the model, and compare what works."""
        number, donors = reading
        trial = self._trials[number]
        result = self._stage.perform(trial, donors)
        return number, result, self._chances(trial, result, donors)

    def _chances(self, trial: Trial, result: Result, donors: Sequence[Tensor | None]) -> Float:
        """Return how likely it is that carriers share as much by chance, of each part (P,)."""
        there = [donor for donor in donors if donor is not None]
        rows = [row for row, donor in zip(trial.donors, donors, strict=True) if donor is not None]
        chances = np.ones(len(trial.parts))
        for number, key in enumerate(trial.parts):
            groups = split(result.gain[number].mean(1).astype(np.float64)[result.there])
            if groups is None or groups.score <= 0:
                continue
            if PARTS[key].is_property:
                own = self._stage.strengths(key, there)
                usual = self._stage.usual_strengths(key, trial.class_id)
                _, chances[number] = rarity(own, groups.carriers, usual)
            else:
                pixels = compared(there, rows, PARTS[key], self._context.run)
                _, chances[number] = likeness(pixels, groups.carriers, key, number, _DRAWS)
        return chances

    def commit(self, computed: Performed) -> Performed:
        """Return the result; the driver needs all of them."""
        return computed


@contextmanager
def open_screen(
    uri: str, threads: int, *, trials: Sequence[Trial], selection: Selection
) -> Iterator[ScreenWorker]:
    """Open a worker that knows the trials of a round."""
    with open_context(uri, threads=threads) as context:
        yield ScreenWorker(trials, selection, context)


@dataclass(frozen=True)
class Screening:
    """A run being screened: its engine, and who takes part."""

    run: Run
    engine: Engine
    selection: Selection
    progress: Progress = field(default_factory=Progress)
    """Counts forward passes."""

    def perform(self, trials: Sequence[Trial], later: int = 0) -> list[tuple[Result, Float]]:
        """Perform trials on the engine; return results and chances in the same order.

        ``later`` are the forward passes of the rounds after this one, at most.
        """
        self.progress.plan(sum(trial.passes for trial in trials) + later)
        units = [Unit(number, number, number + 1) for number in range(len(trials))]
        opener = partial(open_screen, trials=trials, selection=self.selection)
        found: dict[int, tuple[Result, Float]] = {}
        if units:
            for number, result, chances in self.engine.run(
                Job(self.run.uri, ATTEMPTS, opener), units
            ):
                found[number] = result, chances
                self.progress.add(trials[number].passes)
        return [found[number] for number in range(len(trials))]


def screened(selection: Selection) -> tuple[ClassDonors, ...]:
    """Return the classes that can be screened: those with enough donors."""
    others = [len(recipients_of(selection, own.class_id)) for own in selection.by_class]
    return tuple(
        own
        for own, met in zip(selection.by_class, others, strict=True)
        if len(own.donors) >= LEAST_DONORS and met
    )


def recipients_of(selection: Selection, *classes: int) -> list[int]:
    """Return the positions of the recipients that are of none of the classes."""
    return [place for place, own in enumerate(selection.classes) if own not in classes]


def meetings(
    selection: Selection, class_id: int, donors: Sequence[int], first: int, number: int
) -> tuple[tuple[int, ...], ...]:
    """Return which recipients each donor meets: ``number``, after the ``first`` that it has met.

    Every donor goes through the recipients in an order of its own, drawn by lot once for all
    rounds.
    """
    own = recipients_of(selection, class_id)
    found = []
    for row in donors:
        order = np.random.default_rng((class_id, row)).permutation(own)
        turns = [int(order[(first + turn) % len(order)]) for turn in range(number)]
        found.append(tuple(turns))
    return tuple(found)


def first_round(screening: Screening, later: int = 0) -> list[Candidate]:
    """Try every part of some donors of every class; return all candidates.

    ``later`` are the forward passes of the other rounds, at most.

    Raises
    ------
    FlowatlasError
        None of the donors can be read now.
    """
    classes = screened(screening.selection)
    trials = [trial for own in classes for trial in _first_trials(screening.selection, own)]
    performed, found = screening.perform(trials, later), []
    if not any(result.there.any() for result, _ in performed):
        raise FlowatlasError(
            f"no image of {screening.run.uri} can be read now; check its dataset.source"
        )
    for trial, (result, chances) in zip(trials, performed, strict=True):
        for number, part in enumerate(trial.parts):
            gains, chance = _means(result, number), float(chances[number])
            found.append(Candidate(trial.class_id, part, trial.donors, gains, 1, chance))
    return found


def _first_trials(selection: Selection, own: ClassDonors) -> Iterator[Trial]:
    """Yield the trials of a class: of what donors lack there is nothing to try, so try more."""
    for is_property, most in ((False, FIRST), (True, SECOND)):
        parts = tuple(key for key, part in PARTS.items() if part.is_property == is_property)
        donors = own.donors[:most]
        yield Trial(own.class_id, parts, donors, meetings(selection, own.class_id, donors, 0, 1))


def second_round(
    screening: Screening, candidates: Sequence[Candidate], later: int = 0
) -> list[Candidate]:
    """Try candidates with more donors; return them with what is known after both rounds.

    ``later`` are the forward passes of the last round, at most.
    """
    donors = {own.class_id: own.donors[:SECOND] for own in screening.selection.by_class}
    trials = [
        Trial(
            item.class_id,
            (item.part,),
            donors[item.class_id],
            meetings(screening.selection, item.class_id, donors[item.class_id], 1, AGAIN),
        )
        for item in candidates
    ]
    found = zip(candidates, trials, screening.perform(trials, later), strict=True)
    return [_more(before, trial, *performed) for before, trial, performed in found]


def _more(before: Candidate, trial: Trial, result: Result, chances: Float) -> Candidate:
    """Return a candidate with the mean over both rounds of donors that were in both."""
    gains = np.array(_means(result, 0))
    known = len(before.donors)  # they come first in the second round, too
    mixed = (np.array(before.gains) * before.tried + gains[:known] * AGAIN) / (before.tried + AGAIN)
    gains[:known] = mixed
    return replace(
        before,
        donors=trial.donors,
        gains=tuple(gains.tolist()),
        tried=before.tried + AGAIN,
        chance=float(chances[0]),
    )


def _means(result: Result, part: int) -> tuple[float, ...]:
    gains: Float = result.gain[part].mean(1).astype(np.float64)
    return tuple(np.where(result.there, gains, np.nan).tolist())


def best(candidates: Sequence[Candidate], most: int, each: int = KEPT) -> list[Candidate]:
    """Return the candidates with the highest scores, at most ``each`` of a class.

    A box takes no place from others if half of it lies inside a better one, or half of that inside
    it. What lies at several edges is no such box: it is the whole of what a box has a part of.
    """
    order = sorted(candidates, key=lambda item: (-item.score, item.class_id, item.part))
    taken: dict[int, list[str]] = {}
    chosen = []
    for item in order:
        before = taken.setdefault(item.class_id, [])
        repeated = any(_overlap(item.part, part) for part in before)
        if item.score > 0 and len(before) < each and not repeated:
            before.append(item.part)
            chosen.append(item)
    return chosen[:most]


@cache
def _overlap(one: str, other: str) -> bool:
    """Return whether half of one of two fixed boxes lies inside the other."""
    if any(part.moves or part.box is None for part in (PARTS[one], PARTS[other])):
        return False
    mine, yours = (PARTS[key].mask((_CELLS, _CELLS)) for key in (one, other))
    return bool(2 * (mine & yours).sum() >= min(mine.sum(), yours.sum()))
