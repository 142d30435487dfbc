"""``Engine``: what computes the units of a job and yields their results."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pipeline.engine.scheduling.failure import Failure, warn
from pipeline.errors import UnitFailed, first_line
from pipeline.files.urls import redacted
from pipeline.store import Unit

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class Attempt:
    """One try at a unit, the first being number 1.

    ``alone``: the worker has no other unit in progress, so that its death is this unit's fault.
    ``careful``: the unit killed every worker that tried it; find the cause in child processes.
    """

    unit: Unit
    number: int = 1
    alone: bool = False
    careful: bool = False


class Worker(Protocol[R_co]):
    """Works on units in three steps, so that three units can be in progress at once.

    What a step returns is passed to the next one. An attempt may be repeated after any step, by
    this worker or another.
    """

    def read(self, attempt: Attempt) -> Any:
        """Start fetching what the attempt needs, while earlier units are computed; do not block."""

    def compute(self, pending: Any) -> Any:
        """Compute one unit at a time, in the thread that opened the worker."""

    def commit(self, computed: Any) -> R_co:
        """Store one unit at a time, while the next one is computed; return a small result."""


@dataclass(frozen=True)
class Job(Generic[R]):
    """What to work on, when to give up on a unit, and how a worker is opened.

    ``opener(uri, threads)`` gives a context manager around a :class:`Worker`; it is called once
    in every process that works on the job, and must be importable (or picklable) there.
    """

    uri: str
    attempts: int
    opener: Callable[[str, int], AbstractContextManager[Worker[R]]]


class Engine(Protocol):
    """Computes units, in this process or elsewhere; every engine stores the same bytes."""

    def run(
        self,
        job: Job[R],
        units: Sequence[Unit],
        on_failure: Callable[[Failure], None] = warn,
    ) -> Iterator[R]:
        """Yield a result per unit, in the order in which they finish.

        ``on_failure`` is called for every failed attempt and lost worker, including those that are
        tried again.

        Raises
        ------
        UnitFailed
            A unit failed ``job.attempts`` times; what was committed stays.
        """

    @property
    def workers(self) -> int:
        """How many workers there are now."""

    @property
    def wanted(self) -> int:
        """How many workers there should be once the requested nodes have joined."""

    @property
    def threads(self) -> int:
        """CPU threads of each worker."""

    @property
    def room(self) -> int:
        """How many more workers there is room for, with as many CPUs and GPUs each."""

    @property
    def cpus(self) -> int:
        """The most CPUs that a worker may have."""


def give_up(unit: Unit, attempts: int, cause: BaseException) -> UnitFailed:
    """Return the error for a unit that has failed too often."""
    last = f"{type(cause).__name__}: {redacted(first_line(cause))}"
    return UnitFailed(
        f"unit {unit.id} (rows {unit.lo} to {unit.hi - 1}) failed {attempts} times, last with "
        f"{last}; the other finished units are kept, fix the cause and run the same command again"
    )
