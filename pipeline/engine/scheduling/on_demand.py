"""``OnDemand``: an engine that is opened by the first job that has units."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from pipeline.engine.scheduling.failure import Failure, warn
from pipeline.engine.scheduling.interface import Engine, Job, R
from pipeline.store import Unit


class OnDemand:
    """Starting Ray takes seconds, which a job without units need not wait for.

    Parameters
    ----------
    manager
        Opens the engine; called once at most. Who made it closes it.
    """

    def __init__(self, manager: Callable[[], Engine]) -> None:
        self._manager = manager

    @cached_property
    def _engine(self) -> Engine:
        return self._manager()

    def run(
        self,
        job: Job[R],
        units: Sequence[Unit],
        on_failure: Callable[[Failure], None] = warn,
    ) -> Iterator[R]:
        """See :meth:`pipeline.engine.Engine.run`."""
        if units:
            yield from self._engine.run(job, units, on_failure)

    @property
    def workers(self) -> int:
        """How many workers there are now."""
        return self._engine.workers

    @property
    def wanted(self) -> int:
        """How many workers there should be once the requested nodes have joined."""
        return self._engine.wanted

    @property
    def threads(self) -> int:
        """CPU threads of each worker."""
        return self._engine.threads

    @property
    def room(self) -> int:
        """How many more workers there is room for, with as many CPUs and GPUs each."""
        return self._engine.room

    @property
    def cpus(self) -> int:
        """The most CPUs that a worker may have."""
        return self._engine.cpus
