"""Survey: the properties of the images of every class, as numbers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.audit.causal.predictions import load_each
from pipeline.audit.screening.estimates.properties import COLUMNS, measured
from pipeline.audit.screening.selection import Selection
from pipeline.engine import Attempt, Engine, Job
from pipeline.engine.context import Context, open_context
from pipeline.errors import FlowatlasError
from pipeline.store import Run, Unit

Float = NDArray[np.float64]

ATTEMPTS = 3


class SurveyWorker:
    """Measures the donors of a class; see :class:`pipeline.engine.Worker`."""

    def __init__(self, selection: Selection, context: Context) -> None:
        self._selection, self._context = selection, context

    def read(self, attempt: Attempt) -> tuple[int, list[torch.Tensor | None]]:
        """Read the donors of a class."""
        number = attempt.unit.id
        return number, load_each(self._selection.by_class[number].donors, self._context)

    def compute(self, reading: tuple[int, list[torch.Tensor | None]]) -> tuple[int, Float]:
        """Return the numbers (D, C) of all donors, NaN of those that are gone."""
        number, images = reading
        found = np.full((len(images), len(COLUMNS)), np.nan)
        for place, image in enumerate(images):
            if image is not None:
                found[place] = measured(image)[0]
        return number, found

    def commit(self, computed: tuple[int, Float]) -> tuple[int, Float]:
        """Return the numbers; the driver needs all of them."""
        return computed


@contextmanager
def open_survey(uri: str, threads: int, *, selection: Selection) -> Iterator[SurveyWorker]:
    """Open a worker that knows who is measured."""
    with open_context(uri, threads=threads) as context:
        yield SurveyWorker(selection, context)


def surveyed(
    run: Run, engine: Engine, selection: Selection, on_done: Callable[[], None]
) -> tuple[Float, ...]:
    """Return the numbers (D, C) of the donors of every class, NaN of images that are gone.

    Raises
    ------
    FlowatlasError
        None of the images can be read now.
    """
    units = [Unit(number, number, number + 1) for number in range(len(selection.by_class))]
    job = Job(run.uri, ATTEMPTS, partial(open_survey, selection=selection))
    found: dict[int, Float] = {}
    for number, numbers in engine.run(job, units):
        found[number] = numbers
        on_done()
    if all(np.isnan(numbers).all() for numbers in found.values()):
        raise FlowatlasError(f"no image of {run.uri} can be read now; check its dataset.source")
    return tuple(found[number] for number in range(len(units)))
