"""Proposals: groups of images of a class that have something that the rest and others have not.

Three kinds, none of which needs to know what to look for: images that share a pattern at the same
pixels, images with a property that is rare in other classes, and images whose most looked-at spot
works elsewhere. Each is tried on a few recipients.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audit.causal.predictions import load_each
from pipeline.audit.screening.estimates.carriers import (
    LEAST,
    MOST,
    Gathered,
    Move,
    aligned,
    coarseness,
    comparable,
    gathered,
    holds,
)
from pipeline.audit.screening.estimates.operators import estimated, pasted
from pipeline.audit.screening.estimates.properties import COLUMNS, Rarity, above, rarest
from pipeline.audit.screening.groups import split
from pipeline.audit.screening.likeness import likeness
from pipeline.audit.screening.parts import PARTS, SPOT, WHOLE, place_of
from pipeline.audit.screening.selection import ClassDonors, Selection, screened
from pipeline.audit.screening.spots import crops, peaks
from pipeline.audit.screening.stage import Stage
from pipeline.audit.screening.survey import ATTEMPTS
from pipeline.engine import Attempt, Engine, Job
from pipeline.engine.context import Context, open_context
from pipeline.store import Run, Unit

Float = NDArray[np.float64]

FIRST = 8
"""Recipients that a proposal is tried on."""

SPOTS, TRIALS_EACH = 20, 2
"""Most donors whose spots are tried, and recipients of each."""

CLEAR = 0.5
"""Mean rise of the logit up to which a proposal is not followed."""

EACH = 3
"""Most overlays, and most properties, of one class."""

RARE = 0.02
"""Chance above which what a group has is not followed."""

_HELD = 0.15
"""Least share of a pattern that three of four carriers hold."""

_DRAWS = 199


@dataclass(frozen=True)
class Candidate:
    """A group of a class with what it has more of than the others of the class.

    ``carriers`` are rows, those with most of it first, and ``others`` rows; ``gain`` is the mean
    rise of the logit; ``left`` and ``chance`` say how rare it is elsewhere, of a spot how alike.
    """

    class_id: int
    part: str
    carriers: tuple[int, ...]
    others: tuple[int, ...]
    strengths: tuple[float, ...]
    """Of every carrier."""
    gain: float
    left: float
    chance: float
    moves: tuple[Move, ...] = ()
    """Pixels down and to the right that bring what carriers share to the same place."""


class ProposalWorker:
    """Makes the proposals of classes; see :class:`pipeline.engine.Worker`."""

    def __init__(self, selection: Selection, numbers: Sequence[Float], context: Context) -> None:
        self._selection, self._numbers, self._context = selection, numbers, context
        self._stage = Stage(selection, context)

    def read(self, attempt: Attempt) -> tuple[int, list[Tensor | None]]:
        """Read the donors of a class."""
        number = attempt.unit.id
        return number, load_each(self._selection.by_class[number].donors, self._context)

    def compute(self, reading: tuple[int, list[Tensor | None]]) -> tuple[int, list[Candidate]]:
        """Return the candidates of a class."""
        number, images = reading
        own = self._selection.by_class[number]
        there = [place for place, image in enumerate(images) if image is not None]
        if len(there) < 2 * LEAST + 1 or not self._recipients(own.class_id):
            return number, []
        pixels = torch.cat([image for image in images if image is not None])
        rows = [own.donors[place] for place in there]
        none = np.empty((0, len(COLUMNS)))
        others = np.concatenate([none, *(n for k, n in enumerate(self._numbers) if k != number)])
        others = others[~np.isnan(others).any(1)]
        found = [
            *self._overlays(own, there, rows, pixels),
            *self._properties(own.class_id, rows, pixels, self._numbers[number][there], others),
            *self._spots(own.class_id, rows[:SPOTS], pixels[:SPOTS]),
        ]
        return number, found

    def commit(self, computed: tuple[int, list[Candidate]]) -> tuple[int, list[Candidate]]:
        """Return the candidates; the driver chooses among those of all classes."""
        return computed

    def _overlays(
        self, own: ClassDonors, there: Sequence[int], rows: Sequence[int], pixels: Tensor
    ) -> Iterator[Candidate]:
        edges, elsewhere = comparable(pixels), self._stage.edges_of(own.class_id)
        now = {place: number for number, place in enumerate(there)}
        seen: dict[tuple[int, ...], tuple[Rarity, Gathered]] = {}
        for start in own.starts:
            given = [now[place] for place in start if place in now]
            if LEAST <= len(given) <= len(rows) - LEAST - 1:
                group = gathered(edges, given)
                if group.carriers not in seen:
                    size = max(LEAST, -(-3 * len(group.carriers) // 4))
                    rare = above(group.held, holds(elsewhere, group.pattern), [size])
                    seen[group.carriers] = rare, group
        kept = [
            (rare.chance, carriers, rare, group)
            for carriers, (rare, group) in seen.items()
            if rare.chance <= RARE and np.quantile(group.held[list(carriers)], 0.25) >= _HELD
        ]
        scale = coarseness(pixels)
        for _, carriers, rare, group in sorted(kept, key=lambda item: item[:2])[:EACH]:
            moves = {
                place: (y * scale, x * scale)
                for place, (y, x) in zip(carriers, group.moves, strict=True)
            }
            yield self._tried(own.class_id, WHOLE, rows, pixels, carriers, group.held, rare, moves)

    def _properties(
        self, class_id: int, rows: Sequence[int], pixels: Tensor, own: Float, others: Float
    ) -> Iterator[Candidate]:
        rare = {key: one for key, one in rarest(own, others).items() if one.chance <= RARE}
        for key, one in sorted(rare.items(), key=lambda item: item[1].chance)[:EACH]:
            yield self._tried(class_id, key, rows, pixels, one.carriers, np.zeros(len(rows)), one)

    def _tried(
        self,
        class_id: int,
        key: str,
        rows: Sequence[int],
        pixels: Tensor,
        carriers: tuple[int, ...],
        strengths: Float,
        rare: Rarity,
        moves: dict[int, Move] | None = None,
    ) -> Candidate:
        others = [place for place in range(len(rows)) if place not in set(carriers)]
        group = pixels[list(carriers)]
        if moves:
            group = aligned(group, [moves[place] for place in carriers])
        operator = estimated(key, group, pixels[others])
        turned = self._stage.turned(class_id, operator, self._recipients(class_id))
        if key == WHOLE:
            key = place_of(self._stage.changed_by(operator))
        order = sorted(carriers, key=lambda place: -strengths[place])
        return Candidate(
            class_id,
            key,
            tuple(rows[place] for place in order),
            tuple(rows[place] for place in others),
            tuple(float(strengths[place]) for place in order),
            float(turned.gain.mean()),
            rare.left,
            rare.chance,
            tuple(moves[place] for place in order) if moves else (),
        )

    def _spots(self, class_id: int, rows: Sequence[int], pixels: Tensor) -> Iterator[Candidate]:
        known = peaks(self._context.run, rows)
        spots = [known[row] for row in rows]
        met = self._recipients(class_id)
        turns = [(place, turn) for turn in range(TRIALS_EACH) for place in range(len(rows))]
        order = [place for place, _ in turns]
        operator = pasted(pixels[order], [rows[p] for p in order], [spots[p] for p in order], SPOT)
        places = [met[(place + turn * len(met) // TRIALS_EACH) % len(met)] for place, turn in turns]
        turned = self._stage.turned(class_id, operator, places)
        gains = turned.gain.reshape(TRIALS_EACH, len(rows)).mean(0)
        groups = split(gains)
        if groups is None or groups.score <= CLEAR or len(groups.carriers) > MOST * len(rows):
            return
        cut = crops(pixels, spots, PARTS[SPOT])
        left, chance = likeness(cut, groups.carriers, class_id, _DRAWS)
        order = sorted(groups.carriers, key=lambda place: -gains[place])
        yield Candidate(
            class_id,
            SPOT,
            tuple(rows[place] for place in order),
            tuple(rows[place] for place in groups.others),
            tuple(float(gains[place]) for place in order),
            groups.score,
            left,
            chance,
        )

    def _recipients(self, class_id: int) -> list[int]:
        return self._stage.recipients_of(class_id)[:FIRST]


@contextmanager
def open_proposals(
    uri: str, threads: int, *, selection: Selection, numbers: Sequence[Float]
) -> Iterator[ProposalWorker]:
    """Open a worker that knows who takes part, and the properties of all of them."""
    with open_context(uri, threads=threads) as context:
        yield ProposalWorker(selection, numbers, context)


def proposed(
    run: Run,
    engine: Engine,
    selection: Selection,
    numbers: Sequence[Float],
    on_done: Callable[[], None],
) -> list[Candidate]:
    """Return the candidates of all classes that can be screened, class after class."""
    chosen = {own.class_id for own in screened(selection)}
    units = [
        Unit(number, number, number + 1)
        for number, own in enumerate(selection.by_class)
        if own.class_id in chosen
    ]
    job = Job(run.uri, ATTEMPTS, partial(open_proposals, selection=selection, numbers=numbers))
    found: dict[int, list[Candidate]] = {}
    for number, candidates in engine.run(job, units):
        found[number] = candidates
        on_done()
    return [item for unit in units for item in found[unit.id]]
