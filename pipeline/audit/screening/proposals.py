"""Proposals: groups of images of a class that have something that the rest and others have not.

Three kinds, none of which needs to know what to look for: images that share a pattern at the same
pixels, images with a property that is rare in other classes, and images that repeat a detail which
the model looks at, at other places. Each is tried on a few recipients.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audit.causal.predictions import load_each
from pipeline.audit.screening.candidate import Candidate
from pipeline.audit.screening.estimates.carriers import (
    LEAST,
    Gathered,
    Move,
    aligned,
    coarseness,
    comparable,
    gathered,
)
from pipeline.audit.screening.estimates.contents import (
    Content,
    apart,
    found_again,
    likely_contents,
    reduced,
)
from pipeline.audit.screening.estimates.operators import estimated, pasted
from pipeline.audit.screening.estimates.pairs import pairs
from pipeline.audit.screening.estimates.properties import COLUMNS, rarest
from pipeline.audit.screening.estimates.rarity import Rarity, above
from pipeline.audit.screening.parts import SPOT, WHOLE, place_of
from pipeline.audit.screening.selection import Selection, screened
from pipeline.audit.screening.spots import SIDE, Spot, around, peaks
from pipeline.audit.screening.stage import Stage
from pipeline.audit.screening.survey import ATTEMPTS
from pipeline.engine import Attempt, Engine, Job
from pipeline.engine.context import Context, open_context
from pipeline.store import Run, Unit

Float = NDArray[np.float64]

FIRST = 8
"""Recipients that a proposal is tried on."""

SPOTS, EACH_CONTENT = 24, 2
"""Most donors whose spots are compared, and contents of one class that are looked for."""

STRANGE = 8
"""Images of other classes in which a content is not to be found."""

SAME = 0.7
"""Correlation from which two windows show the same."""

CLEAR = 0.5
"""Mean rise of the logit up to which a proposal is not followed."""

EACH = 3
"""Most overlays, and most properties, of one class."""

RARE = 0.02
"""Chance above which what a group has is not followed."""

FEW, _COMMON = 96, 0.1
"""Images that are asked first, and the chance above which these are enough."""

_USUAL = 0.98
"""Quantile of what these images have of a content, above which an image has it."""

PAIRS = 4
"""Pairs of images to start from."""

_HELD = 0.15
"""Least share of a pattern that three of four carriers hold."""


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
        now = {place: number for number, place in enumerate(there)}
        starts = [[now[place] for place in start if place in now] for start in own.starts]
        none = np.empty((0, len(COLUMNS)))
        others = np.concatenate([none, *(n for k, n in enumerate(self._numbers) if k != number)])
        others = others[~np.isnan(others).any(1)]
        found = [
            *self._overlays(own.class_id, starts, rows, pixels),
            *self._properties(
                own.class_id, rows, pixels, self._numbers[number][there], others, starts
            ),
            *self._spots(own.class_id, rows, pixels),
        ]
        return number, found

    def commit(self, computed: tuple[int, list[Candidate]]) -> tuple[int, list[Candidate]]:
        """Return the candidates; the driver chooses among those of all classes."""
        return computed

    def _overlays(
        self, class_id: int, starts: Sequence[Sequence[int]], rows: Sequence[int], pixels: Tensor
    ) -> Iterator[Candidate]:
        edges = comparable(pixels)
        seen: dict[tuple[int, ...], tuple[Rarity, Gathered]] = {}
        for start in (*pairs(pixels, PAIRS), *starts):
            if LEAST <= len(start) <= len(rows) - LEAST - 1:
                group = gathered(edges, start)
                if group.carriers not in seen:
                    seen[group.carriers] = self._rarity(class_id, group), group
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
            yield self._tried(class_id, WHOLE, rows, pixels, carriers, group.held, rare, moves)

    def _rarity(self, class_id: int, group: Gathered) -> Rarity:
        """Return how rare what a group holds is among all images."""
        size, number = max(LEAST, -(-3 * len(group.carriers) // 4)), len(group.held)
        rare = _first_among_few(
            lambda most: above(
                group.held, self._stage.held_elsewhere(class_id, group.pattern, most), [size]
            )
        )
        # It starts from the pair that agrees most, of all pairs.
        return rare.chosen_from(number * (number - 1) // 2)

    def _properties(
        self,
        class_id: int,
        rows: Sequence[int],
        pixels: Tensor,
        own: Float,
        others: Float,
        starts: Sequence[Sequence[int]],
    ) -> Iterator[Candidate]:
        rare = {key: one for key, one in rarest(own, others, starts).items() if one.chance <= RARE}
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
        small, first = reduced(pixels), rows[:SPOTS]
        scale = small.shape[2] / 16, small.shape[3] / 16
        known = peaks(self._context.run, first)
        tops, lefts = ([round(known[row][axis] * scale[axis]) for row in first] for axis in (0, 1))
        side = round(SIDE * min(scale))
        strange = self._stage.small_elsewhere(class_id, STRANGE)
        contents = likely_contents(small[: len(first)], tops, lefts, side, strange, SAME)
        for content in apart(contents, EACH_CONTENT):
            held, places = found_again(content, small)
            usual = self._stage.content_elsewhere(class_id, content, FEW)
            least = max(SAME, np.quantile(usual, _USUAL, method="higher") if len(usual) else SAME)
            group = np.flatnonzero(held > least).tolist()
            if not LEAST <= len(group) <= len(rows) - LEAST:
                continue
            rare = self._content_rarity(class_id, content, held, group)
            if rare.chance <= RARE:
                middle = (places + content.window.shape[1] / 2) / scale
                spots = [around(*middle[place]) for place in group]
                yield self._pasted(class_id, rows, pixels, group, held, rare, spots)

    def _content_rarity(
        self, class_id: int, content: Content, held: Float, group: Sequence[int]
    ) -> Rarity:
        """Return how rare a content is elsewhere; the image that it is from does not count."""
        others = np.delete(held, content.owner)
        size = max(1, -(-3 * (len(group) - 1) // 4))
        rare = _first_among_few(
            lambda most: above(
                others, self._stage.content_elsewhere(class_id, content, most), [size]
            )
        )
        return rare.chosen_from(len(held))  # it could be from any image

    def _pasted(
        self,
        class_id: int,
        rows: Sequence[int],
        pixels: Tensor,
        group: Sequence[int],
        held: Float,
        rare: Rarity,
        spots: Sequence[Spot],
    ) -> Candidate:
        order = sorted(range(len(group)), key=lambda turn: -held[group[turn]])
        carriers = [rows[group[turn]] for turn in order]
        chosen = [spots[turn] for turn in order]
        operator = pasted(pixels[[group[turn] for turn in order]], carriers, chosen, SPOT)
        turned = self._stage.turned(class_id, operator, self._recipients(class_id))
        return Candidate(
            class_id,
            SPOT,
            tuple(carriers),
            tuple(row for place, row in enumerate(rows) if place not in set(group)),
            tuple(float(held[group[turn]]) for turn in order),
            float(turned.gain.mean()),
            rare.left,
            rare.chance,
            spots=tuple(chosen),
        )

    def _recipients(self, class_id: int) -> list[int]:
        return self._stage.recipients_of(class_id)[:FIRST]


def _first_among_few(rarity: Callable[[int | None], Rarity]) -> Rarity:
    """Return a rarity among all images, or few where these show that it is none."""
    rare = rarity(FEW)
    return rare if rare.chance > _COMMON else rarity(None)


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
