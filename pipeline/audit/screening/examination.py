"""The last round: carriers and every control on recipients that no donor has met.

And whether the model misses the part where it is erased.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.audit.causal.confirmation import LEVEL
from pipeline.audit.causal.edits import erase_blur, erase_mean
from pipeline.audit.causal.predictions import load_each
from pipeline.audit.screening.answers import answer, margins
from pipeline.audit.screening.boxes import on_object
from pipeline.audit.screening.likeness import likeness
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.rarity import rarity
from pipeline.audit.screening.rounds import Candidate, meetings, recipients_of
from pipeline.audit.screening.selection import Selection
from pipeline.audit.screening.spots import compared, peaks
from pipeline.audit.screening.trials import Result, Stage, Trial
from pipeline.audit.stats.intervals import Rate, grouped_rate
from pipeline.engine import Attempt
from pipeline.engine.context import Context, open_context

TRANSPLANTS = 96
"""Least transplants of carriers, of the others and of random images each; half as many mirrored."""

ERASED = 24
"""Most images of each group from which the part is erased."""

_STRANGERS = 32


@dataclass(frozen=True)
class Examined:
    """A candidate after the last round, with the rates of images that became the class.

    ``pasted`` is from carriers, ``rest`` without the carrier that works best, ``others`` the same
    part of the other donors of the class, ``random`` of images of other classes, ``mirrored`` the
    other side of the carriers. ``erased`` and ``plain`` are the carriers and the others that lose
    the class without the part. ``left`` and ``chance`` are those of
    :func:`~pipeline.audit.screening.likeness.likeness`, or of a property those of
    :func:`~pipeline.audit.screening.rarity.rarity`.
    """

    candidate: Candidate
    carriers: tuple[int, ...]
    """Rows, those whose part works best first."""
    plain_rows: tuple[int, ...]
    """Rows of the other donors."""
    pasted: Rate
    rest: Rate
    others: Rate
    random: Rate
    mirrored: Rate
    erased: Rate
    plain: Rate
    left: float
    chance: float
    inside: float | None = None
    """How far the carriers' part and their objects' boxes overlap, None without boxes."""
    others_inside: float | None = None


class ExamineWorker:
    """Examines candidates; see :class:`pipeline.engine.Worker`."""

    def __init__(
        self, candidates: Sequence[Candidate], selection: Selection, context: Context
    ) -> None:
        self._candidates, self._selection, self._context = candidates, selection, context
        self._stage = Stage(selection, context)

    def read(self, attempt: Attempt) -> tuple[Candidate, dict[int, Tensor | None]]:
        """Read the donors of a candidate, and images of other classes."""
        candidate = self._candidates[attempt.unit.id]
        rows = [*candidate.donors, *_strangers(self._selection, candidate.class_id)]
        return candidate, dict(zip(rows, load_each(rows, self._context), strict=True))

    def compute(self, reading: tuple[Candidate, dict[int, Tensor | None]]) -> Examined | None:
        """Examine a candidate; None if too few of its donors can be read now."""
        return examine(*reading, self._selection, self._stage, self._context)

    def commit(self, computed: Examined | None) -> Examined | None:
        """Return the result; the driver stores all of them."""
        return computed


@contextmanager
def open_examine(
    uri: str, threads: int, *, candidates: Sequence[Candidate], selection: Selection
) -> Iterator[ExamineWorker]:
    """Open a worker that knows the candidates of the last round."""
    with open_context(uri, threads=threads) as context:
        yield ExamineWorker(candidates, selection, context)


def examine(
    candidate: Candidate,
    images: dict[int, Tensor | None],
    selection: Selection,
    stage: Stage,
    context: Context,
) -> Examined | None:
    """Try a candidate's carriers and controls on new recipients."""
    groups = candidate.split
    if groups is None:
        return None
    strongest = sorted(groups.carriers, key=lambda place: -candidate.gains[place])
    carriers = [row for place in strongest if images[row := candidate.donors[place]] is not None]
    others = [row for place in groups.others if images[row := candidate.donors[place]] is not None]
    if not carriers or not others:
        return None

    def tried(rows: Sequence[int], least: int, mirrored: bool = False) -> tuple[Rate, Rate]:
        """Return the rate of all donors, and without the best one."""
        met = candidate.tried
        free = len(recipients_of(selection, candidate.class_id)) - met
        each = max(1, min(-(-least // max(1, len(rows))), free))
        meet = meetings(selection, candidate.class_id, rows, met, each)
        trial = Trial(candidate.class_id, (candidate.part,), tuple(rows), meet, mirrored)
        return _rates(trial, stage.perform(trial, [images[row] for row in rows]))

    pasted, rest = tried(carriers, TRANSPLANTS)
    part = PARTS[candidate.part]
    strangers = [
        row for row in _strangers(selection, candidate.class_id) if images[row] is not None
    ]
    erased, plain = (
        _lost(candidate, {row: images[row] for row in rows[:ERASED]}, context)
        for rows in (carriers, others)
    )
    together = [row for row in candidate.donors if images[row] is not None]
    pixels = [image for row in together if (image := images[row]) is not None]
    places = tuple(together.index(row) for row in carriers)
    if part.is_property:
        own = stage.strengths(candidate.part, pixels)
        usual = stage.usual_strengths(candidate.part, candidate.class_id)
        left, chance = rarity(own, places, usual)
    else:
        crops = compared(pixels, together, part, context.run)
        left, chance = likeness(crops, places, candidate.part, candidate.class_id)
    return Examined(
        candidate=candidate,
        carriers=tuple(carriers),
        plain_rows=tuple(others),
        pasted=pasted,
        rest=rest,
        others=tried(others, TRANSPLANTS)[0],
        random=tried(strangers, TRANSPLANTS)[0] if strangers else Rate(0, 0, LEVEL),
        mirrored=tried(carriers, TRANSPLANTS // 2, True)[0]
        if part.has_other_side
        else Rate(0, 0, LEVEL),
        erased=erased,
        plain=plain,
        left=left,
        chance=chance,
        inside=on_object(carriers[:ERASED], candidate.part, context),
        others_inside=on_object(others[:ERASED], candidate.part, context),
    )


def _strangers(selection: Selection, class_id: int) -> tuple[int, ...]:
    """Return rows of donors of other classes, from as many classes as there are."""
    found: list[int] = []
    others = [own.donors for own in selection.by_class if own.class_id != class_id and own.donors]
    order = np.random.default_rng(class_id).permutation(len(others)).tolist()
    for turn in range(_STRANGERS):
        if not order:
            break
        donors = others[order[turn % len(order)]]
        found.append(donors[(turn // len(order)) % len(donors)])
    return tuple(dict.fromkeys(found))


def _rates(trial: Trial, result: Result) -> tuple[Rate, Rate]:
    """Return the rate of a trial of one part, and without the donor that works best."""
    met = np.array(trial.recipients)
    donor = np.broadcast_to(np.arange(len(met))[:, None], met.shape)[result.there].ravel()
    hits, recipient = result.hit[0][result.there].ravel(), met[result.there].ravel()
    everyone = grouped_rate(hits, donor, recipient, level=LEVEL)
    if len(np.unique(donor)) < 2:
        return everyone, Rate(0, 0, LEVEL)
    best = np.bincount(donor, hits) / np.maximum(np.bincount(donor), 1)
    kept = donor != best.argmax()
    return everyone, grouped_rate(hits[kept], donor[kept], recipient[kept], level=LEVEL)


def _lost(candidate: Candidate, images: dict[int, Tensor | None], context: Context) -> Rate:
    """Count the images that lose the class when the part is filled by mean and by blur."""
    part = PARTS[candidate.part]
    there = {row: image for row, image in images.items() if image is not None}
    if not part.is_region or not there:
        return Rate(0, 0, LEVEL)
    spots = peaks(context.run, list(there)) if part.rank is not None else {}
    masks = [
        part.mask(
            (int(image.shape[2]), int(image.shape[3])),
            (0, 0) if part.rank is None else spots[row][part.rank],
        )
        for row, image in there.items()
    ]
    gone = torch.ones(len(there), dtype=torch.bool)
    for erase in (erase_mean, erase_blur):
        edits = (erase(image, mask) for image, mask in zip(there.values(), masks, strict=True))
        after = answer(edits, context)
        gone &= margins(after, candidate.class_id) <= 0
    return Rate(int(gone.sum()), len(there), LEVEL)
