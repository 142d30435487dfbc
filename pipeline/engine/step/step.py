"""``Step``: a batch to the device, through its program, and back, the next one meanwhile."""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.engine.batch import LoadedImage
from pipeline.engine.compute import ComputedBatch, computed_batch
from pipeline.engine.context import Context
from pipeline.engine.step.captured import Captured, Signature, refuted, signature
from pipeline.engine.step.copies import HostCopy, copies_of
from pipeline.engine.step.data_dependence import waits
from pipeline.engine.step.graphs import Graphs, graphs_of
from pipeline.engine.step.inputs import Inputs, Uploads, host_inputs
from pipeline.engine.step.program import Results, program
from pipeline.engine.usage.clock import Clock
from pipeline.errors import first_line
from pipeline.flows.flow import check_targets, targets_checked

_log = logging.getLogger(__name__)

_MOST_GRAPHS = 3
"""Shapes of batches that are recorded: of full units, of their last batches, with more boxes."""


class Pending(Protocol):
    """A batch whose results are on their way."""

    def result(self) -> ComputedBatch:
        """Wait for the results; any thread may, once."""


@dataclass(frozen=True)
class _Begun:
    batch: Sequence[LoadedImage]
    copy: HostCopy
    measures: tuple[str, ...]
    context: Context

    def result(self) -> ComputedBatch:
        return computed_batch(self.batch, self.copy.result(), self.measures, self.context)


class Step:
    """Computes batches of a run on the worker's device; one thread begins them.

    On a GPU the calls of batches of one shape are recorded at the first of them, compared with the
    same calls one by one, and repeated for the others. What cannot be recorded, or does not give
    the same, is called one by one, and logged.

    Parameters
    ----------
    context : Context
    graphs : Graphs, optional
        What records; by default what the worker's device has.
    """

    def __init__(self, context: Context, graphs: Graphs | None = None) -> None:
        self._context = context
        self._copies = copies_of(context.device)
        self._graphs = graphs or graphs_of(context.device)
        self._recorded: dict[Signature, Captured | None] = {}
        self._known: Results | None = None
        self._uploads = Uploads(context.device)
        self._ends: deque[Any] = deque()

    def begin(self, batch: Sequence[LoadedImage], clock: Clock) -> Pending:
        """Start to compute a batch; a GPU is not waited for.

        An image that could not be used stays in its place as zeros, so that the results of the
        other images in the batch do not depend on it. The seconds of the flow are added to
        ``clock`` as ``compute``, of recorded steps those of the whole program; where there are
        graphs, they are added a second time as ``replay`` or as ``eager``, and what recording took
        as ``capture``.
        """
        given = host_inputs(batch, self._context, even=self._graphs is not None)
        checked = self._checked(given)
        captured = self._captured(batch, given, clock)
        before = clock.seconds.get("compute", 0.0)
        inputs = self._uploads.begin(given)
        if captured is None:
            copy = self._copies.begin(self._call(batch, inputs, clock, checked).tensors)
        else:
            with clock("compute"), self._context.launches.step():
                captured.fill(inputs)
                content = captured.replay()
            copy = self._copies.begin_packed(content, captured.layout)
        if self._graphs is not None:
            spent = clock.seconds["compute"] - before
            clock.add("eager" if captured is None else "replay", spent)
        self._ends.append(_moment(self._context.device))
        assert self._known is not None
        return _Begun(batch, copy, self._known.measures, self._context)

    def uploaded(self) -> None:
        """Wait until the device has the pixels of every batch, and has computed all but the last.

        So a GPU always has a batch to go on with, and never more than that.
        """
        self._uploads.wait()
        while len(self._ends) > 1:
            end = self._ends.popleft()
            if end is not None:
                end.synchronize()

    def _call(
        self, batch: Sequence[LoadedImage], inputs: Inputs, clock: Clock, checked: bool
    ) -> Results:
        with targets_checked(checked):
            self._known = program(batch, inputs, self._context, clock)
        return self._known

    def _checked(self, given: Inputs) -> bool:
        """Check targets on the host, once it is known what they may be: a GPU would wait."""
        targets = given.get("targets")
        if self._known is None or self._context.run.spec.multi_label:
            return False
        if targets is not None and targets.ndim == 1:
            check_targets(targets, len(targets), max(1, self._known.classes))
        return targets is None or targets.ndim == 1

    def _captured(
        self, batch: Sequence[LoadedImage], given: Inputs, clock: Clock
    ) -> Captured | None:
        """Return the recorded step for such inputs; record it if they are the first ones."""
        kind = signature(given)
        if self._graphs is None or (
            kind not in self._recorded and len(self._recorded) >= _MOST_GRAPHS
        ):
            return None
        if kind not in self._recorded:
            with clock("capture"):
                self._recorded[kind] = self._record(batch, given, self._graphs)
        return self._recorded[kind]

    def _record(
        self, batch: Sequence[LoadedImage], given: Inputs, graphs: Graphs
    ) -> Captured | None:
        """Record a step and prove it; None, and a line in the log, where that fails."""
        inputs = self._uploads.begin(given)
        self._call(batch, inputs, Clock(), checked=False)  # the first call of all checks the model

        checked = self._checked(given)

        def step(some: Inputs) -> dict[str, Tensor]:
            return self._call(batch, some, Clock(), checked).tensors

        try:
            with waits() as found:
                step(inputs)
            if found:
                raise RuntimeError(f"the device is waited for: {', '.join(found[:3])}")
            captured = Captured(inputs, step, graphs)
            if wrong := refuted(captured, step, inputs):
                raise RuntimeError(f"it gives other {wrong}")
        except Exception as error:
            if self._context.device.type == "cuda":
                with suppress(RuntimeError):  # of a capture that did not end
                    torch.cuda.empty_cache()
            _log.warning("steps are called one by one, not as a graph: %s", first_line(error))
            return None
        return captured


def _moment(device: torch.device) -> Any:
    """Return an event of what a GPU was given so far; None for a CPU."""
    if device.type != "cuda":
        return None
    event: Any = torch.cuda.Event
    moment = event(blocking=True)
    moment.record()
    return moment
