"""The stage: images of all classes that operators are tried on, and what the model says then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.audit.causal.confirmation import LEVEL
from pipeline.audit.causal.predictions import load_each
from pipeline.audit.screening.answers import answer, margins
from pipeline.audit.screening.estimates.carriers import comparable
from pipeline.audit.screening.estimates.operators import Operator
from pipeline.audit.screening.selection import Selection
from pipeline.audit.stats.intervals import Rate, grouped_rate
from pipeline.engine.context import Context

_SHOWN = 8
"""Recipients on which it is seen where an operator changes images."""


@dataclass(frozen=True)
class Turned:
    """Of every image tried, (n,): did it become the class, and how much did its logit rise.

    ``recipient`` and ``donor`` say which it was and whose turn it was.
    """

    hit: NDArray[np.bool_]
    gain: NDArray[np.float64]
    recipient: NDArray[np.int64]
    donor: NDArray[np.int64]

    @property
    def rate(self) -> Rate:
        """The rate of hits; those of one recipient or one donor are not independent."""
        groups = [self.recipient]
        if len(np.unique(self.donor)) > 1:
            groups.append(self.donor)
        return grouped_rate(self.hit, *groups, level=LEVEL)


def together(parts: Sequence[Turned]) -> Turned:
    """Return several results as one, in which every part had donors of its own."""
    donor = [part.donor + 1000 * number for number, part in enumerate(parts)]
    return Turned(
        np.concatenate([part.hit for part in parts]),
        np.concatenate([part.gain for part in parts]),
        np.concatenate([part.recipient for part in parts]),
        np.concatenate(donor),
    )


class Stage:
    """The recipients as a worker holds them: pixels, and the logits before anything is edited."""

    def __init__(self, selection: Selection, context: Context) -> None:
        self._context = context
        found = load_each(selection.recipients, context)
        there = [place for place, image in enumerate(found) if image is not None]
        self._classes = np.array(selection.classes)[there]
        self.rows = tuple(selection.recipients[place] for place in there)
        blank = torch.zeros(0, 3, *context.run.spec.input["size"], dtype=torch.uint8)
        self.pixels = torch.cat([blank, *(image for image in found if image is not None)])
        self._before = answer(torch.split(self.pixels, 1), context)
        self._edges: Tensor | None = None

    def recipients_of(self, class_id: int) -> list[int]:
        """Return the positions of recipients that are of other classes, in an order by lot."""
        own = np.flatnonzero(self._classes != class_id)
        return [int(place) for place in np.random.default_rng(class_id).permutation(own)]

    def edges_of(self, class_id: int) -> Tensor:
        """Return edges of the recipients of other classes as they are compared, (n, 6, h, w)."""
        if self._edges is None:
            self._edges = comparable(self.pixels)
        return self._edges[torch.from_numpy(np.flatnonzero(self._classes != class_id))]

    def turned(self, class_id: int, operator: Operator, places: Sequence[int]) -> Turned:
        """Try an operator on recipients; one that it does not change does not become the class."""
        hit, gain = np.zeros(len(places), np.bool_), np.zeros(len(places))
        changed: list[int] = []

        def edits() -> Iterator[Tensor]:
            for number, place in enumerate(places):
                image = self.pixels[place : place + 1]
                edit = operator.onto(image, number)
                if not torch.equal(edit, image):
                    changed.append(number)
                    yield edit

        after = answer(edits(), self._context)
        before = self._before[[places[number] for number in changed]]
        hit[changed] = (margins(after, class_id) > 0).numpy()
        gain[changed] = (after - before)[:, class_id].double().numpy()
        turns = np.arange(len(places)) % operator.donors
        return Turned(hit, gain, np.array(places, np.int64), turns.astype(np.int64))

    def changed_by(self, operator: Operator) -> Tensor:
        """Return how much an operator changes recipients on average, in levels, (H, W)."""
        shown = torch.split(self.pixels[:_SHOWN], 1)
        found = [operator.onto(image, number) for number, image in enumerate(shown)]
        pairs = zip(found, shown, strict=True)
        apart = [(new.float() - old.float()).abs().mean(1) for new, old in pairs]
        return torch.cat(apart).mean(0)
