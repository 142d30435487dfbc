"""What an engine is: something that turns units into receipts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import UnitFailed
from pipeline.store import Receipt, Unit


@dataclass(frozen=True)
class Job:
    """The run to work on and when to give up on a unit."""

    uri: str
    attempts: int


class Engine(Protocol):
    """Computes units of a run wherever it likes; engines differ in nothing that is stored."""

    def run(self, job: Job, units: Sequence[Unit]) -> Iterator[Receipt]:
        """Yield a receipt per unit, in the order in which they finish.

        Raises
        ------
        UnitFailed
            A unit failed ``job.attempts`` times; what was committed stays.
        """

    @property
    def workers(self) -> int:
        """How many units are computed at once."""


def give_up(unit: Unit, attempts: int, cause: BaseException) -> UnitFailed:
    """Return the error for a unit that has failed too often."""
    return UnitFailed(
        f"unit {unit.id} (rows {unit.lo} to {unit.hi - 1}) failed {attempts} times, last with "
        f"{type(cause).__name__}: {cause}; the other finished units are kept, mend the cause and "
        "run the same command again"
    )
