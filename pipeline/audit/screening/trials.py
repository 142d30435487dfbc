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
from pipeline.engine.context import Context


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
        after = answer(self._edits(trial, donors, tried), self._context)
        before = self._before[[trial.recipients[donor][turn] for _, donor, turn in tried]]
        where = tuple(np.array(tried, np.int64).reshape(-1, 3).T)
        hit[where] = (margins(after, trial.class_id) > 0).numpy()
        gain[where] = (after - before)[:, trial.class_id].numpy()
        return Result(hit, gain, there)

    def _edits(
        self,
        trial: Trial,
        donors: Sequence[Tensor | None],
        tried: Sequence[tuple[int, int, int]],
    ) -> Iterator[Tensor]:
        for part, number, turn in tried:
            onto, donor = PARTS[trial.parts[part]].onto, donors[number]
            recipient = self._pixels[trial.recipients[number][turn]]
            if donor is None:
                continue
            if trial.mirrored:
                yield onto(recipient.flip(3), donor.flip(3)).flip(3)
            else:
                yield onto(recipient, donor)
