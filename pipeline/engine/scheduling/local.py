"""``LocalEngine``: computes the units in sequence, in this process."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.engine.scheduling.failure import Failure, warn
from pipeline.engine.scheduling.interface import Attempt, Job, R
from pipeline.engine.scheduling.ledger import Ledger
from pipeline.store import Unit


class LocalEngine:
    """Computes in this process with ``threads`` CPU threads; for tests, debugging and small runs.

    While a unit is computed, threads commit the previous one and read the next one.
    """

    workers = wanted = 1

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    @property
    def cpus(self) -> int:
        """The CPUs that this process may use."""
        mine = getattr(os, "sched_getaffinity", None)
        return len(mine(0)) if mine is not None else os.cpu_count() or 1

    @property
    def room(self) -> int:
        """How many actors of ``cluster.engine: ray`` there would be room for beside this."""
        return max(0, self.cpus // self.threads - 1)

    def run(
        self,
        job: Job[R],
        units: Sequence[Unit],
        on_failure: Callable[[Failure], None] = warn,
    ) -> Iterator[R]:
        """Yield the results in order of units; see :class:`Engine`."""
        if not units:
            return
        ledger = Ledger(units, job.attempts, on_failure)
        before: tuple[Attempt, Future[R]] | None = None
        with (
            job.opener(job.uri, self.threads) as worker,
            ThreadPoolExecutor(1, thread_name_prefix="commit") as committing,
            ThreadPoolExecutor(1, thread_name_prefix="read") as reading,
        ):

            def begin() -> tuple[Attempt, Future[object]] | None:
                attempt = ledger.next(idle=True)
                return None if attempt is None else (attempt, reading.submit(worker.read, attempt))

            ahead = begin()
            while ahead or before:
                present, after = ahead, None
                if present:
                    attempt, read = present
                    ahead = begin()
                    try:
                        computed = worker.compute(read.result())
                    except Exception as error:
                        ledger.failed(attempt, error)
                    else:
                        after = attempt, committing.submit(worker.commit, computed)
                if before:
                    try:
                        result = before[1].result()
                    except Exception as error:
                        ledger.failed(before[0], error)
                    else:
                        yield result
                before, ahead = after, ahead or begin()
