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
from pipeline.audit.screening.estimates.carriers import comparable, holds, widened
from pipeline.audit.screening.estimates.contents import Content, found_again, reduced
from pipeline.audit.screening.estimates.operators import Operator
from pipeline.audit.screening.selection import Selection
from pipeline.audit.stats.intervals import Rate, grouped_rate
from pipeline.engine.context import Context

Float = NDArray[np.float64]

_AT_ONCE = 32
"""Images of the reference that are held as pixels at a time."""

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
        self._selection, self._context = selection, context
        found = load_each(selection.recipients, context)
        there = [place for place, image in enumerate(found) if image is not None]
        self._classes = np.array(selection.classes)[there]
        self.rows = tuple(selection.recipients[place] for place in there)
        blank = torch.zeros(0, 3, *context.run.spec.input["size"], dtype=torch.uint8)
        self.pixels = torch.cat([blank, *(image for image in found if image is not None)])
        self._before = answer(torch.split(self.pixels, 1), context)
        self._reference: tuple[Tensor, Tensor, NDArray[np.int64]] | None = None

    def recipients_of(self, class_id: int) -> list[int]:
        """Return the positions of recipients that are of other classes, in random order."""
        own = np.flatnonzero(self._classes != class_id)
        return [int(place) for place in np.random.default_rng(class_id).permutation(own)]

    def held_elsewhere(self, class_id: int, pattern: Tensor, most: int | None = None) -> Float:
        """Return how much of a pattern images of other classes hold, (n,); ``most`` are asked."""
        wide, _, classes = self._known()
        found: Float = holds(wide[:most], pattern)[classes[:most] != class_id]
        return found

    def content_elsewhere(self, class_id: int, content: Content, most: int | None = None) -> Float:
        """Return how much images of other classes have of a content, (n,); ``most`` are asked."""
        _, small, classes = self._known()
        found: Float = found_again(content, small[:most])[0][classes[:most] != class_id]
        return found

    def small_elsewhere(self, class_id: int, number: int) -> Tensor:
        """Return some images of other classes, reduced."""
        _, small, classes = self._known()
        return small[np.flatnonzero(classes != class_id)[:number]]

    def _known(self) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
        """Return the reference: edges and small images, and the class of each."""
        if self._reference is None:
            self._reference = _reference(self._selection, self._context)
        return self._reference

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


def _reference(selection: Selection, context: Context) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Return edges and small images of all classes, as they are compared, and their classes."""
    rows, classes = (np.array(part, np.int64) for part in zip(*selection.reference, strict=True))
    parts, small, there = [], [], np.zeros(len(rows), np.bool_)
    for first in range(0, len(rows), _AT_ONCE):
        found = load_each(rows[first : first + _AT_ONCE].tolist(), context)
        there[first : first + _AT_ONCE] = [image is not None for image in found]
        parts += [widened(comparable(image)) for image in found if image is not None]
        small += [reduced(image) for image in found if image is not None]
    none = torch.empty(0, 6, 0, 0), torch.empty(0, 3, 0, 0)
    edges, pixels = (torch.cat(part) if part else none[k] for k, part in enumerate((parts, small)))
    return edges, pixels, classes[there]
