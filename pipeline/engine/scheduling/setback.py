"""``Setback``: what went wrong while a run was computed, also where it was tried again."""

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import first_line
from pipeline.files.urls import redacted
from pipeline.store import Unit

_log = logging.getLogger(__name__)

Kind = Literal["retry", "gave_up", "worker_lost", "node_lost"]


@dataclass(frozen=True)
class Setback:
    """A failed attempt, or the loss of who made it.

    ``retry``: a unit failed and is tried again. ``gave_up``: it failed for the last time, and an
    error ends the run. ``worker_lost``: a worker died, or could not be started. ``node_lost``: a
    machine went away; that costs its units no attempt. ``units`` were in hand; ``attempt`` is the
    number of a single unit's, 0 where there are none or several; ``node`` is Ray's id of the
    machine, where there is one; ``log`` the object of the run that has the traceback.
    """

    kind: Kind
    units: tuple[Unit, ...]
    attempt: int = 0
    cause: BaseException | None = None
    node: str | None = None
    log: str | None = None

    @property
    def error(self) -> str | None:
        """Kind and first line of the error, None if there was none."""
        if self.cause is None:
            return None
        return f"{type(self.cause).__name__}: {redacted(first_line(self.cause))}"

    @property
    def traceback(self) -> str:
        """The traceback, with that of the worker where the error comes from one."""
        if self.cause is None:
            return ""
        return "".join(traceback.format_exception(self.cause))

    @property
    def sentence(self) -> str:
        """One line for a person."""
        named = _named(self.units)
        if self.kind == "node_lost":
            held = f"handed to other workers: {named}" if named else "it had no unit in hand"
            return f"node {self.node} is gone; {held}"
        if self.kind == "worker_lost":
            held = f"died with {named} in hand, tried again" if named else "could not start"
            return f"a worker {held}: {self.error}"
        what = "tried again" if self.kind == "retry" else "given up"
        return f"{named}: attempt {self.attempt} failed, {what}: {self.error}"


def warn(setback: Setback) -> None:
    """Log a setback as a warning: what is done where nobody else listens."""
    _log.warning("%s", setback.sentence)


def _named(units: Sequence[Unit]) -> str:
    if len(units) == 1:
        return f"unit {units[0].id} (rows {units[0].lo} to {units[0].hi - 1})"
    if not units or len(units) > 3:
        return f"{len(units)} units" if units else ""
    return f"units {', '.join(str(unit.id) for unit in units)}"
