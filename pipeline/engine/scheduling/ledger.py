"""``Ledger``: which units are still to be tried, and what each has been charged with."""

from collections import Counter, deque
from collections.abc import Collection, Sequence

from pipeline.engine.scheduling.interface import Attempt, give_up
from pipeline.errors import FlowatlasError
from pipeline.store import Unit


class Ledger:
    """Hands out attempts and keeps count of their failures.

    A worker holds several units at once, so its death alone does not say whose fault it was:
    every unit it held becomes a suspect and is tried again with nothing beside it. Only a death
    in such company of none is charged.

    Parameters
    ----------
    units : sequence of Unit
    attempts : int
        Charges after which a unit is given up. If it was charged with a death, one careful attempt
        is made before that.
    """

    def __init__(self, units: Sequence[Unit], attempts: int) -> None:
        self._attempts = attempts
        self._todo = deque(units)
        self._suspects: deque[Unit] = deque()
        self._failed = Counter[int]()
        self._careful: set[int] = set()

    def __len__(self) -> int:
        """Return how many units wait to be tried."""
        return len(self._todo) + len(self._suspects)

    def next(self, *, idle: bool, avoid: Collection[int] = ()) -> Attempt | None:
        """Return the next attempt for a worker, None if there is nothing for it now.

        Parameters
        ----------
        idle : bool
            The worker holds no unit. Suspects are for idle workers: one that is not gets nothing
            while a suspect waits, so that it soon is.
        avoid : collection of int
            Units that a worker in the same place has died with, for which another is wanted.
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

    def give_back(self, attempts: Sequence[Attempt]) -> None:
        """Take units back, first in line, without a charge: their worker was taken away."""
        for attempt in reversed(attempts):
            (self._suspects if attempt.alone else self._todo).appendleft(attempt.unit)

    def failed(self, attempt: Attempt, cause: BaseException) -> None:
        """Charge a unit with an error.

        Raises
        ------
        UnitFailed
            That was its last attempt.
        FlowatlasError
            The cause itself, if it says what to do: trying again will not help.
        """
        self._charge(attempt.unit, cause)
        (self._suspects if attempt.alone else self._todo).appendleft(attempt.unit)

    def died(self, held: Sequence[Attempt], cause: BaseException) -> None:
        """Note the death of a worker with everything it held; UnitFailed as in :meth:`failed`."""
        if len(held) == 1:
            (attempt,) = held
            last = self._failed[attempt.unit.id] + 1 >= self._attempts
            if last and not attempt.careful:
                self._failed[attempt.unit.id] += 1
                self._careful.add(attempt.unit.id)
            else:
                self._charge(attempt.unit, cause)
        self._suspects.extendleft(attempt.unit for attempt in reversed(held))

    def _charge(self, unit: Unit, cause: BaseException) -> None:
        if isinstance(cause, FlowatlasError):
            raise cause
        self._failed[unit.id] += 1
        if self._failed[unit.id] >= self._attempts:
            raise give_up(unit, self._failed[unit.id], cause) from cause
