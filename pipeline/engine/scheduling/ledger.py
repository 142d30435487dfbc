"""``Ledger``: which units still have to be computed, and how often each has failed."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence

from pipeline.engine.scheduling.failure import Failure, warn
from pipeline.engine.scheduling.interface import Attempt, give_up
from pipeline.errors import FlowatlasError
from pipeline.store import Unit


class Ledger:
    """Hands out attempts and keeps count of their failures.

    A worker holds several units at once, so its death alone does not show which unit caused it:
    every unit it held becomes a suspect and is tried again alone. Only a death during such an
    attempt is charged to its unit.

    Parameters
    ----------
    units : sequence of Unit
    attempts : int
        Charges after which a unit is given up. If it was charged with a death, one careful attempt
        is made before that.
    on_failure : callable
        Called for everything that goes wrong, before an error is raised for it.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        attempts: int,
        on_failure: Callable[[Failure], None] = warn,
    ) -> None:
        self._attempts, self._report = attempts, on_failure
        self._todo = deque(units)
        self._suspects: deque[Unit] = deque()
        self._failed = Counter[int]()
        self._careful: set[int] = set()

    def __len__(self) -> int:
        """Return how many units are waiting."""
        return len(self._todo) + len(self._suspects)

    def next(self, *, idle: bool, avoid: Collection[int] = ()) -> Attempt | None:
        """Return the next attempt for a worker, None if there is nothing for it now.

        Parameters
        ----------
        idle : bool
            The worker holds no unit. Suspects need an idle worker: a busy one gets nothing while
            a suspect waits, so that it soon becomes idle.
        avoid : collection of int
            Units that a worker in the same slot held when it died; another slot should try them.
        """
        suspect = next((unit for unit in self._suspects if unit.id not in avoid), None)
        if suspect is not None:
            if not idle:
                return None
            self._suspects.remove(suspect)
            return self._attempt(suspect, alone=True)
        return self._attempt(self._todo.popleft(), alone=False) if self._todo else None

    def _attempt(self, unit: Unit, *, alone: bool) -> Attempt:
        return Attempt(unit, self._failed[unit.id] + 1, alone, unit.id in self._careful)

    def requeue(self, attempts: Sequence[Attempt], node: str | None = None) -> None:
        """Put units back at the front of the queue, uncharged: their node was lost."""
        self._report(Failure("node_lost", _units(attempts), node=node))
        for attempt in reversed(attempts):
            (self._suspects if attempt.alone else self._todo).appendleft(attempt.unit)

    def failed(self, attempt: Attempt, cause: BaseException) -> None:
        """Charge a unit with an error.

        Raises
        ------
        UnitFailed
            That was its last attempt.
        FlowatlasError
            The cause itself, if its message names the next step: trying again will not help.
        """
        self._charge(attempt, cause)
        self._report(Failure("retry", (attempt.unit,), attempt.number, cause))
        (self._suspects if attempt.alone else self._todo).appendleft(attempt.unit)

    def died(self, held: Sequence[Attempt], cause: BaseException, node: str | None = None) -> None:
        """Record the death of a worker and the units it held; raises as :meth:`failed` does."""
        number = held[0].number if len(held) == 1 else 0
        self._report(Failure("worker_lost", _units(held), number, cause, node))
        if len(held) == 1:
            (attempt,) = held
            last = self._failed[attempt.unit.id] + 1 >= self._attempts
            if last and not attempt.careful:
                self._failed[attempt.unit.id] += 1
                self._careful.add(attempt.unit.id)
            else:
                self._charge(attempt, cause)
        self._suspects.extendleft(attempt.unit for attempt in reversed(held))

    def _charge(self, attempt: Attempt, cause: BaseException) -> None:
        unit = attempt.unit
        final = isinstance(cause, FlowatlasError)
        self._failed[unit.id] += not final
        if final or self._failed[unit.id] >= self._attempts:
            self._report(Failure("gave_up", (unit,), attempt.number, cause))
            if final:
                raise cause
            raise give_up(unit, self._failed[unit.id], cause) from cause


def _units(attempts: Sequence[Attempt]) -> tuple[Unit, ...]:
    return tuple(attempt.unit for attempt in attempts)
