"""Trials: parts of donors put onto recipients, and how far each moves the answer to the class."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audit.causal.predictions import load_each
from pipeline.audit.screening.answers import answer, margins
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.selection import Selection
from pipeline.audit.screening.spots import moved, other_side, peaks
from pipeline.engine.context import Context

_SHOWN = 2
"""Recipients on which the strength of a property is measured."""


@dataclass(frozen=True)
class Trial:
    """What to put onto what: every part of every donor onto the donor's own recipients.

    ``donors`` are rows, D of them; ``recipients`` are positions in the selection's recipients, R
    for each donor. A donor may be of another class than ``class_id``: then it is a control.
    ``mirrored``: not the part but what lies on the other side of the donor, there.
    """

    class_id: int
    parts: tuple[str, ...]
    donors: tuple[int, ...]
    recipients: tuple[tuple[int, ...], ...]
    mirrored: bool = False

    @property
    def passes(self) -> int:
        """Forward passes that it takes at most."""
        return len(self.parts) * sum(map(len, self.recipients))


@dataclass(frozen=True)
class Result:
    """Of every part, donor and recipient, (P, D, R): did it become the class, and how nearly.

    ``gain`` is how much the logit of the class rose. ``there`` says which donors, (D,), could be
    read; of the others both are 0.
    """

    hit: NDArray[np.bool_]
    gain: NDArray[np.float32]
    there: NDArray[np.bool_]


class Stage:
    """The recipients as a worker holds them: pixels, and the logits before anything is edited."""

    def __init__(self, selection: Selection, context: Context) -> None:
        self._context = context
        found = load_each(selection.recipients, context)
        self._there = tuple(image is not None for image in found)
        blank = torch.zeros(1, 3, *context.run.spec.input["size"], dtype=torch.uint8)
        self._pixels = tuple(blank if image is None else image for image in found)
        self._before = answer(self._pixels, context)
        self._classes = selection.classes
        self._usual: dict[str, NDArray[np.float64]] = {}

    def perform(self, trial: Trial, donors: Sequence[Tensor | None]) -> Result:
        """Try a trial with the donors' pixels, (1, 3, H, W) uint8 each, None of those gone."""
        there = np.array([donor is not None for donor in donors], np.bool_)
        shape = (len(trial.parts), len(trial.donors), len(trial.recipients[0]))
        hit, gain = np.zeros(shape, np.bool_), np.zeros(shape, np.float32)
        tried = [
            (part, donor, turn)
            for part in range(shape[0])
            for donor in np.flatnonzero(there).tolist()
            for turn in range(shape[2])
            if self._there[trial.recipients[donor][turn]]
        ]
        changed: list[tuple[int, int, int]] = []
        after = answer(self._edits(trial, donors, tried, changed), self._context)
        before = self._before[[trial.recipients[donor][turn] for _, donor, turn in changed]]
        where = tuple(np.array(changed, np.int64).reshape(-1, 3).T)
        hit[where] = (margins(after, trial.class_id) > 0).numpy()
        gain[where] = (after - before)[:, trial.class_id].numpy()
        return Result(hit, gain, there)

    def _edits(
        self,
        trial: Trial,
        donors: Sequence[Tensor | None],
        tried: Sequence[tuple[int, int, int]],
        changed: list[tuple[int, int, int]],
    ) -> Iterator[Tensor]:
        """Yield edited images; ``changed`` gets those of ``tried`` in which something changes."""
        moves = any(PARTS[part].moves for part in trial.parts)
        known = peaks(self._context.run, trial.donors) if moves else {}
        for place in tried:
            number, met = place[1], trial.recipients[place[1]][place[2]]
            part, donor, recipient = PARTS[trial.parts[place[0]]], donors[number], self._pixels[met]
            if donor is None:
                continue
            if part.rank is not None:
                row = trial.donors[number]
                spot = known[row][part.rank]
                spot = other_side(spot) if trial.mirrored else spot
                edit = moved(recipient, donor, part, spot, (row, met))
            elif trial.mirrored:
                edit = part.onto(recipient.flip(3), donor.flip(3)).flip(3)
            else:
                edit = part.onto(recipient, donor)
            if not torch.equal(edit, recipient):
                changed.append(place)
                yield edit

    def strengths(self, key: str, donors: Sequence[Tensor]) -> NDArray[np.float64]:
        """Return how much a property of donors changes some recipients, in levels, (D,)."""
        onto = PARTS[key].onto
        shown = torch.cat([self._pixels[place] for place in np.flatnonzero(self._there)[:_SHOWN]])
        found = [onto(shown, donor.expand_as(shown).contiguous()) for donor in donors]
        return np.array([float((one.float() - shown.float()).abs().mean()) for one in found])

    def usual_strengths(self, key: str, class_id: int) -> NDArray[np.float64]:
        """Return :meth:`strengths` of the recipients that are not of a class."""
        if key not in self._usual:
            self._usual[key] = self.strengths(key, self._pixels)
        other = np.array(self._classes) != class_id
        found: NDArray[np.float64] = self._usual[key][other & np.array(self._there)]
        return found
