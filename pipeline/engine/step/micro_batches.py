"""Micro-batches that fit the device's memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.engine.batch import LoadedImage, padded
from pipeline.engine.compute import ComputedBatch
from pipeline.engine.context import Context
from pipeline.engine.step.graphs import Graphs
from pipeline.engine.step.step import Pending, Step
from pipeline.engine.usage.clock import Clock


class MicroBatches:
    """Computes batches in parts as large as the device's memory allows.

    When memory runs out, the part is halved and the batch computed again; the smaller size is
    kept, because the next batch would need as much memory. The maps are the same up to rounding,
    which depends on the batch size.
    """

    def __init__(self, context: Context, graphs: Graphs | None = None) -> None:
        self._padded = context.run.spec.padded
        self._step = Step(context, graphs)
        self._most: int | None = None

    def compute(
        self, batch: Sequence[LoadedImage], clock: Clock, full: int = 0
    ) -> list[ComputedBatch]:
        """Return the results of a batch; see :meth:`begin`."""
        return [part.result() for part in self.begin(batch, clock, full)]

    def uploaded(self) -> None:
        """Wait until the device has the pixels of every batch that has begun."""
        self._step.uploaded()

    def begin(self, batch: Sequence[LoadedImage], clock: Clock, full: int = 0) -> list[Pending]:
        """Start to compute a batch, in one or more parts, in order.

        A batch with fewer than ``full`` images is computed with as many as that: others fill it up.

        Raises
        ------
        torch.OutOfMemoryError
            Not even one image fits.
        """
        while True:
            whole = max(full, len(batch))
            size = min(whole, self._most or whole)
            starts = range(0, len(batch), size)
            cuts = [(start, min(size, whole - start)) for start in starts]
            tried = Clock()
            try:
                with tried("measure"):  # all but the flow, which counts its own time
                    begun = [
                        self._part(batch[start : start + count], count, tried)
                        for start, count in cuts
                    ]
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            else:
                clock.add_all(tried)
                return begun
            clock.add("memory", sum(tried.seconds.values()))
            # Not in the handler, where the exception still references the tensors of its frames.
            self._most = (size + 1) // 2
            torch.cuda.empty_cache()

    def _part(self, part: Sequence[LoadedImage], size: int, clock: Clock) -> Pending:
        if len(part) == size or not self._padded:
            return self._step.begin(part, clock)
        return _First(self._step.begin(padded(part, size), clock), len(part))


@dataclass(frozen=True)
class _First:
    """The first ``images`` of a batch, others having filled it up."""

    whole: Pending
    images: int

    def result(self) -> ComputedBatch:
        return self.whole.result().first(self.images)
