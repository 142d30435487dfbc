"""One unit: fetch, decode, transform; flow, measure; commit. Independent of Ray."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from pipeline.config import ReadersKind
from pipeline.engine.batch import LoadedBatch, indexed_images
from pipeline.engine.compute import assemble
from pipeline.engine.context import Context, open_context, round_weights
from pipeline.engine.reading.open import open_readers
from pipeline.engine.reading.readers import ReadAhead, Readers
from pipeline.engine.scheduling.crashing import crashing_rows
from pipeline.engine.scheduling.interface import Attempt
from pipeline.engine.step.micro_batches import MicroBatches
from pipeline.engine.step.step import Pending
from pipeline.engine.usage.calls import fixed_share
from pipeline.engine.usage.clock import Clock, Spans
from pipeline.engine.usage.launches import Settle
from pipeline.engine.usage.peak_memory import peak_resident
from pipeline.store import Receipt, commit_unit
from pipeline.store.reader import open_run

_WARM = 2
"""The batch of a worker that is timed; the first one checks the model and fills caches."""


@dataclass(frozen=True)
class PendingUnit:
    """A unit whose first batches are being read."""

    attempt: Attempt
    batches: ReadAhead
    clock: Clock


@dataclass(frozen=True)
class Computed:
    """A unit whose batches have begun, and which has waited for its commit since ``since``.

    ``since`` is of ``time.perf_counter``. On a GPU some batches may still be computed.
    """

    attempt: Attempt
    batches: Sequence[Pending]
    launches: Settle
    clock: Clock
    since: float


class FlowWorker:
    """Turns units of a run into receipts; see :class:`pipeline.engine.scheduling.interface.Worker`.

    A unit gives the same bytes on any worker, in any attempt, whatever other units are computed.
    Seconds in its receipt: ``fetch``, ``decode`` and ``transform`` summed over all readers; in
    sequence ``store`` (the computing thread waits for an earlier unit's commit), ``wait`` (for
    images), ``compute``, ``measure``, ``memory`` (batches that did not fit, where there were some);
    then, while the next unit is computed, ``queue`` (waiting for the previous commit), ``assemble``
    and ``commit``. A GPU goes on with the next unit meanwhile, so that ``compute`` is the time in
    which it was called or waited for; see also :mod:`pipeline.engine.usage.launches`, and
    :class:`pipeline.engine.step.step.Step` for ``capture``, ``replay`` and ``eager``. On a CPU,
    ``calls`` is the part of ``compute`` and ``measure`` that a batch takes whatever its images are.
    """

    def __init__(self, context: Context, readers: Readers) -> None:
        self._context, self._readers = context, readers
        self._config = context.run.config
        self._micro_batches = MicroBatches(context)
        self._commits, self._results = Spans(), Spans()
        self._free_since: float | None = None
        self._begun, self._calls = 0, 0.0

    def read(self, attempt: Attempt) -> PendingUnit:
        """Start fetching, decoding and transforming."""
        run, unit, clock = self._context.run, attempt.unit, Clock()
        images = indexed_images(run.index_rows(unit.lo, unit.hi), run.box_rows(unit.lo, unit.hi))
        looked_for = attempt.careful and not self._readers.crash_alone
        crashing = crashing_rows(run.uri, unit) if looked_for else ()
        size = self._config.flow.batch_size
        return PendingUnit(attempt, ReadAhead(images, size, self._readers, crashing, clock), clock)

    def compute(self, pending: PendingUnit) -> Computed:
        """Run model, flow and measures over the batches as they arrive."""
        clock, done = pending.clock, 0
        begun: list[Pending] = []
        now = time.perf_counter()
        before = self._free_since or now
        clock.add("store", self._commits.within(before, now))
        clock.add("compute", self._results.within(before, now))
        try:
            while True:
                with clock("wait"):
                    batch = next(pending.batches, None)
                if batch is None:
                    break
                since = time.thread_time()
                begun += self._micro_batches.begin(batch, clock, self._full(done))
                self._time_calls(batch, time.thread_time() - since)
                done += len(batch)
                with clock("compute"):  # the pixels' memory is given back
                    self._micro_batches.uploaded()
        finally:
            pending.batches.close()
        if self._calls:
            spent = clock.seconds
            clock.add("calls", self._calls * (spent["compute"] + spent["measure"]))
        self._free_since = time.perf_counter()
        launches = self._context.launches.taken()
        return Computed(pending.attempt, begun, launches, clock, self._free_since)

    def _time_calls(self, batch: LoadedBatch, seconds: float) -> None:
        """Measure once, behind the batch that warms up, what a step on a CPU takes in any case.

        A GPU's events say that of every step.
        """
        self._begun += 1
        if self._begun == _WARM and len(batch) > 1 and self._context.device.type == "cpu":
            one = partial(self._micro_batches.compute, batch[:1], Clock())
            self._calls = fixed_share(seconds, len(batch), one)

    def _full(self, done: int) -> int:
        """Return how many images a batch has that begins behind ``done`` of them in a full unit."""
        spec = self._context.run.spec
        return min(self._config.flow.batch_size, min(spec.unit_rows, spec.rows) - done)

    def commit(self, computed: Computed) -> Receipt:
        """Store the unit once its results are there, its receipt last."""
        clock, attempt, run = computed.clock, computed.attempt, self._context.run
        clock.add("queue", time.perf_counter() - computed.since)
        with self._results():
            batches = [batch.result() for batch in computed.batches]
            computed.launches(clock)
        with self._commits():
            with clock("assemble"):
                data = assemble(batches, run.spec)
            return commit_unit(
                run.store,
                run.spec,
                attempt.unit,
                data,
                attempt=attempt.number,
                seconds=clock.seconds,
                memory=peak_resident() + self._readers.memory,
            )


@contextmanager
def open_flows(uri: str, threads: int, readers: ReadersKind = "auto") -> Iterator[FlowWorker]:
    """Open a worker of the run at ``uri`` with ``threads`` threads to compute, and as many readers.

    ``readers`` says whether these are threads or processes.
    """
    with (
        open_readers(open_run(uri), threads, readers) as reading,  # they start meanwhile
        open_context(uri, threads=threads, heads=True) as context,
    ):
        round_weights(context)
        yield FlowWorker(context, reading)
