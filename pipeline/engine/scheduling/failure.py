"""``Failure``: what went wrong while a run was computed, including what was tried again."""

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import first_line
from pipeline.files.urls import redacted
from pipeline.nouns import counted
from pipeline.store import Unit

_log = logging.getLogger(__name__)

Kind = Literal["retry", "gave_up", "worker_lost", "node_lost"]


@dataclass(frozen=True)
class Failure:
    """A failed attempt, or a lost worker or node.

    ``retry``: a unit failed and is tried again. ``gave_up``: it failed for the last time, and an
    error ends the run. ``worker_lost``: a worker died, or could not be started. ``node_lost``: a
    machine was lost; this does not count as an attempt of its units. ``units`` were in progress;
    ``attempt`` is the attempt's number if there is exactly one unit, else 0; ``node`` is Ray's id
    of the machine, if known; ``log`` is the path within the run of the file with the traceback.
    """

    kind: Kind
    units: tuple[Unit, ...]
    attempt: int = 0
    cause: BaseException | None = None
    node: str | None = None
    log: str | None = None

    @property
    def error(self) -> str | None:
        """Type and first line of the error, None if there was none."""
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
        """The failure as one line of text."""
        named = _named(self.units)
        if self.kind == "node_lost":
            held = f"reassigned to other workers: {named}" if named else "it had no units"
            return f"node {self.node} is gone; {held}"
        if self.kind == "worker_lost":
            held = f"died with {named} in progress, tried again" if named else "could not start"
            return f"a worker {held}: {self.error}"
        what = "tried again" if self.kind == "retry" else "given up"
        return f"{named}: attempt {self.attempt} failed, {what}: {self.error}"


def warn(failure: Failure) -> None:
    """Log a failure as a warning; the default where no callback is given."""
    _log.warning("%s", failure.sentence)


def _named(units: Sequence[Unit]) -> str:
    if len(units) == 1:
        return f"unit {units[0].id} (rows {units[0].lo} to {units[0].hi - 1})"
    if not units or len(units) > 3:
        return counted(len(units), "unit") if units else ""
    return f"units {', '.join(str(unit.id) for unit in units)}"
