"""``Captured``: a step for batches of one shape, recorded once, and proven before it is used.

A GPU is fed by many small calls; where its work is small, it waits for them. A recorded step is one
call. It reads its inputs from memory that stays where it is, so a batch is copied there first.
Whether it is right is not taken for granted: before it is used, it must give what the same calls
give one by one, on a real batch and on one with images that could not be read.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.step.copies import Arrays, Layout, packed, unpacked
from pipeline.engine.step.graphs import Graphs
from pipeline.engine.step.inputs import Inputs

TOLERANCE = 1e-5
"""Largest difference of a recorded step's results, of the largest value of their kind; at least
four times that by which the calls themselves differ from one time to the next."""

_TIMES = 4.0

Signature = tuple[tuple[str, torch.Size, torch.dtype], ...]


def signature(inputs: Inputs) -> Signature:
    """Return what must be the same of the batches that one recorded step computes."""
    return Layout.of(inputs).parts


class Captured:
    """A recorded step.

    Parameters
    ----------
    inputs
        Those of a batch, on the device; copies of them are what the step reads.
    step
        Computes inputs on the device, and returns named tensors.
    graphs
        The device's way to record.

    Raises
    ------
    RuntimeError
        The device cannot record the step.
    """

    def __init__(
        self, inputs: Inputs, step: Callable[[Inputs], dict[str, Tensor]], graphs: Graphs
    ) -> None:
        self._inputs = {name: values.clone() for name, values in inputs.items()}
        self._replay = graphs.capture(self._call(step))

    def _call(self, step: Callable[[Inputs], dict[str, Tensor]]) -> Callable[[], Tensor]:
        def call() -> Tensor:
            tensors = step(self._inputs)
            self.layout = Layout.of(tensors)
            return packed(tensors)

        return call

    def fill(self, inputs: Inputs) -> None:
        """Copy inputs of the same shapes, of the host or the device, to where the step reads."""
        for name, values in self._inputs.items():
            values.copy_(inputs[name], non_blocking=True)

    def replay(self) -> Tensor:
        """Return the packed results of what was filled in last."""
        # The next replay writes over its output while this one is copied to the host.
        return self._replay().clone()

    def arrays(self, inputs: Inputs) -> Arrays:
        """Return the results of inputs on the host."""
        self.fill(inputs)
        return unpacked(self.replay().cpu(), self.layout)


def refuted(
    captured: Captured, step: Callable[[Inputs], dict[str, Tensor]], inputs: Inputs
) -> str | None:
    """Return what a recorded step gets wrong, None where nothing.

    Compared are the batch itself, and the same with every other image blank, as images are that
    could not be read, its inputs being those of no image.
    """

    def once(given: Inputs) -> Arrays:
        tensors = step(given)
        return unpacked(packed(tensors).cpu(), Layout.of(tensors))

    for what, given in {"a batch": inputs, "a batch with blank images": _blank(inputs)}.items():
        wanted, again, found = once(given), once(given), captured.arrays(given)
        wrong = [name for name in wanted if not _alike(found[name], [wanted[name], again[name]])]
        if wrong:
            return f"{', '.join(wrong)} of {what}"
    return None


def _blank(inputs: Inputs) -> Inputs:
    """Return inputs whose every other image is as one that could not be read."""
    blank = {name: values.clone() for name, values in inputs.items()}
    blank["shown"][::2] = 0
    for name, nothing in {"boxes": torch.nan, "own": -1}.items():
        if name in blank:
            blank[name][::2] = nothing
    if "targets" in blank:  # the label of another image
        blank["targets"][::2] = blank["targets"][::2].roll(1, 0)
    return blank


def _alike(found: np.ndarray, wanted: Sequence[np.ndarray]) -> bool:
    """Return whether an array is as like two others as these are like each other, or nearly so.

    Numbers of one kind are rows of ``floats`` (F, B), or all of an array.
    """
    first, second = wanted
    if not np.issubdtype(first.dtype, np.floating):
        return bool(((found == first) | (found == second)).all())
    if not first.size:
        return True
    known = np.isfinite(first)
    if not np.array_equal(known, np.isfinite(found)):
        return False
    axes = tuple(range(1, first.ndim)) if first.ndim == 2 else None
    values = [np.where(known, array, 0).astype(np.float64) for array in (found, first, second)]
    largest = np.abs(values[1]).max(axes)
    other, own = (np.abs(one - values[1]).max(axes) for one in (values[0], values[2]))
    return bool((other <= np.maximum(TOLERANCE * largest, _TIMES * own)).all())
