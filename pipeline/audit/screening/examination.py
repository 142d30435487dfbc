"""The last round: a group's operator and every control, on recipients that were not met before.

And whether the model misses the part where it is erased.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import fisher_exact
from torch import Tensor

from pipeline.audit.causal.confirmation import LEVEL
from pipeline.audit.causal.edits import erase_blur, erase_mean
from pipeline.audit.causal.predictions import load_each
from pipeline.audit.screening.answers import answer, margins
from pipeline.audit.screening.boxes import on_object
from pipeline.audit.screening.candidate import Candidate
from pipeline.audit.screening.estimates.carriers import aligned
from pipeline.audit.screening.estimates.operators import Operator, estimated, pasted
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.proposals import FIRST
from pipeline.audit.screening.selection import Selection
from pipeline.audit.screening.spots import Spot, other_side, peaks
from pipeline.audit.screening.stage import Stage, together
from pipeline.audit.stats.intervals import Rate
from pipeline.engine import Attempt
from pipeline.engine.context import Context, open_context

TRANSPLANTS, CONTROLS = 80, 72
"""Most recipients of the group's operator, and of each kind of control."""

SCOUTS = 20
"""Recipients none of which becomes the class if there is no effect worth a word."""

ERASED = 24
"""Most images of each group from which the part is erased."""

_GROUPS = 3
"""Groups of others and of images of other classes that make an estimate each."""

_SEEN, _WEAK, _STRONG = 10.0, 0.25, 0.995
"""Mean change of recipients, in levels, from which a pixel belongs to an overlay; at least so much
of the change of the strongest pixels, those above this quantile."""


NONE = Rate(0, 0, LEVEL)
"""The rate of what was not tried."""


@dataclass(frozen=True)
class Examined:
    """A candidate after the last round, with the rates of images that became the class.

    ``pasted`` is by the operator of all carriers, ``rest`` by those of each half of them,
    ``others`` by those of groups of the other donors, ``random`` by those of groups of images of
    other classes, ``mirrored`` by the other side of the carriers of a spot. ``erased`` and
    ``plain`` are the carriers and the others that lose the class without the part. Where ``pasted``
    against ``random`` proves nothing, the others were not tried.
    """

    candidate: Candidate
    carriers: tuple[int, ...]
    """Rows, those with most of it first."""
    plain_rows: tuple[int, ...]
    """Rows of the other donors."""
    pasted: Rate
    random: Rate = NONE
    rest: Rate = NONE
    others: Rate = NONE
    mirrored: Rate = NONE
    erased: Rate = NONE
    plain: Rate = NONE
    covers: float = 0.0
    """Share of the image that is changed to be seen, of a region."""
    inside: float | None = None
    """How far the carriers' part and their objects' boxes overlap, None without boxes."""
    others_inside: float | None = None


class ExamineWorker:
    """Examines candidates; see :class:`pipeline.engine.Worker`."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        selection: Selection,
        provable: float,
        context: Context,
    ) -> None:
        self._candidates, self._provable, self._context = candidates, provable, context
        self._stage = Stage(selection, context)

    def read(self, attempt: Attempt) -> tuple[int, dict[int, Tensor]]:
        """Read the donors of a candidate."""
        number = attempt.unit.id
        candidate = self._candidates[number]
        rows = [*candidate.carriers, *candidate.others]
        found = zip(rows, load_each(rows, self._context), strict=True)
        return number, {row: image for row, image in found if image is not None}

    def compute(self, reading: tuple[int, dict[int, Tensor]]) -> tuple[int, Examined | None]:
        """Examine a candidate; None if it has no effect, or few can be read now."""
        number, images = reading
        candidate = self._candidates[number]
        return number, examine(candidate, images, self._stage, self._context, self._provable)

    def commit(self, computed: tuple[int, Examined | None]) -> tuple[int, Examined | None]:
        """Return the result; the driver stores all of them."""
        return computed


@contextmanager
def open_examine(
    uri: str,
    threads: int,
    *,
    candidates: Sequence[Candidate],
    selection: Selection,
    provable: float,
) -> Iterator[ExamineWorker]:
    """Open a worker that knows the candidates of the last round."""
    with open_context(uri, threads=threads) as context:
        yield ExamineWorker(candidates, selection, provable, context)


def examine(
    candidate: Candidate,
    images: dict[int, Tensor],
    stage: Stage,
    context: Context,
    provable: float = 1.0,
) -> Examined | None:
    """Try a candidate's operator and controls on new recipients.

    None if none of the first becomes the class, or too few of its donors can be read now. Not all
    controls are tried where the p-value of :func:`chance` exceeds ``provable``.
    """
    carriers, others = (
        [row for row in rows if row in images] for rows in (candidate.carriers, candidate.others)
    )
    if len(carriers) < 2 or len(others) < 2:
        return None
    part, key = PARTS[candidate.part], candidate.part
    moves = dict(zip(candidate.carriers, candidate.moves, strict=False))
    class_id = candidate.class_id
    free = stage.recipients_of(class_id)[FIRST:] or stage.recipients_of(class_id)

    spots = _spots(candidate, context)

    def of(rows: Sequence[int], rest: Sequence[int], mirrored: bool = False) -> Operator:
        group = torch.cat([images[row] for row in rows])
        if moves and rows[0] in moves:
            group = aligned(group, [moves[row] for row in rows])
        if not part.moves:
            return estimated(key, group, torch.cat([images[row] for row in rest]))
        chosen = [other_side(spots[row]) if mirrored else spots[row] for row in rows]
        return pasted(group, rows, chosen, key)

    def shared(operators: Sequence[Operator], most: int) -> Rate:
        """Try several operators, each on recipients of its own where there are enough."""
        if not operators:
            return NONE
        each = max(1, min(most, len(free)) // len(operators))
        places = [free[number * each : (number + 1) * each] for number in range(len(operators))]
        pairs = zip(operators, places, strict=True)
        return together([stage.turned(class_id, one, met) for one, met in pairs if met]).rate

    operator = of(carriers, others)
    if not stage.turned(class_id, operator, free[:SCOUTS]).hit.any():
        return None
    pasted_rate = stage.turned(class_id, operator, free[:TRANSPLANTS]).rate
    random = NONE
    if chance(pasted_rate, Rate(0, CONTROLS, LEVEL)) <= provable:
        random = shared(_strange(candidate, len(carriers), stage, context), CONTROLS)
    change = stage.changed_by(operator)
    seen = change > max(_SEEN, _WEAK * float(change.flatten().quantile(_STRONG)))
    found = Examined(
        candidate=candidate,
        carriers=tuple(carriers),
        plain_rows=tuple(others),
        pasted=pasted_rate,
        random=random,
        covers=float(seen.float().mean()) if part.is_region and not part.moves else 0.0,
    )
    if chance(pasted_rate, random) > provable:
        return found
    halves = [of(carriers[half::2], others) for half in range(2)]
    controls = [of(*_parted(others, len(carriers), draw)) for draw in range(_GROUPS)]
    mirror = [of(carriers, others, True)] if part.moves else []
    shown, plain = ({row: images[row] for row in rows[:ERASED]} for rows in (carriers, others))
    return replace(
        found,
        rest=shared(halves, TRANSPLANTS),
        others=shared(controls, CONTROLS),
        mirrored=shared(mirror, CONTROLS // 2),
        erased=_lost(candidate, shown, seen, spots, context),
        plain=_lost(candidate, plain, seen, spots, context),
        inside=on_object(list(shown), key, seen, spots, context),
        others_inside=on_object(list(plain), key, seen, spots, context),
    )


def chance(pasted: Rate, random: Rate) -> float:
    """Return the p-value of turning more images than the same of random images does.

    Fisher's exact test, one-sided, of as many images as the grouped ones are worth; 1 where either
    was not tried.
    """
    if not pasted.images or not random.images:
        return 1.0
    table = [_worth(pasted), _worth(random)]
    return float(fisher_exact(table, alternative="greater").pvalue)


def _worth(rate: Rate) -> list[int]:
    images = max(1, round(rate.images / rate.design))
    hits = min(images, round(rate.count / rate.design))
    return [hits, images - hits]


def _parted(rows: Sequence[int], size: int, draw: int) -> tuple[list[int], list[int]]:
    """Return a random group of rows, of ``size`` or half of them, and the rest."""
    order = np.random.default_rng((len(rows), draw)).permutation(len(rows))
    size = min(size, len(rows) // 2)
    return [rows[place] for place in order[:size]], [rows[place] for place in order[size:]]


def _strange(candidate: Candidate, size: int, stage: Stage, context: Context) -> list[Operator]:
    """Return the operators of groups of images of other classes, none if there is one image."""
    own = stage.recipients_of(candidate.class_id)
    if len(own) < 2:
        return []
    found = []
    for draw in range(_GROUPS):
        group, rest = _parted(own, size, draw)
        if PARTS[candidate.part].moves:
            rows = [stage.rows[place] for place in group]
            known = peaks(context.run, rows)
            spots = [known[row] for row in rows]
            found.append(pasted(stage.pixels[group], rows, spots, candidate.part))
        else:
            found.append(estimated(candidate.part, stage.pixels[group], stage.pixels[rest]))
    return found


def _spots(candidate: Candidate, context: Context) -> dict[int, Spot]:
    """Return where every donor has a part that moves: what carriers share, or where a map peaks."""
    if not PARTS[candidate.part].moves:
        return {}
    known = dict(zip(candidate.carriers, candidate.spots, strict=True))
    return peaks(context.run, candidate.others) | known


def _lost(
    candidate: Candidate,
    images: dict[int, Tensor],
    seen: Tensor,
    spots: dict[int, Spot],
    context: Context,
) -> Rate:
    """Count the images that lose the class when the part is filled by mean and by blur."""
    part = PARTS[candidate.part]
    if not part.is_region or not images or not seen.any():
        return NONE
    size = (int(seen.shape[0]), int(seen.shape[1]))
    masks = [part.mask(size, spots[row]) if part.moves else seen for row in images]
    gone = torch.ones(len(images), dtype=torch.bool)
    for erase in (erase_mean, erase_blur):
        edits = (erase(image, mask) for image, mask in zip(images.values(), masks, strict=True))
        gone &= margins(answer(edits, context), candidate.class_id) <= 0
    return Rate(int(gone.sum()), len(images), LEVEL)
