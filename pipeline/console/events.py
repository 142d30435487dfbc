"""A run told as JSON, one line per event, for those who collect the logs of many machines."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from pipeline.engine import Failure, Started
from pipeline.store import Receipt, Totals


class EventLog:
    """Writes what ``run_flows`` reports; every line has ``time`` (UTC), ``event`` and ``run``.

    Events: ``started``, ``unit`` (a receipt: rows, counts, attempt, host, seconds of its stages),
    ``retry``, ``worker_lost`` and ``node_lost`` (what went wrong, with the units that were in hand
    and the object of the run that has the traceback), ``finished``, ``stopped``
    (by a signal) and ``failed`` with the error.
    """

    def __init__(self, stream: TextIO, run: str) -> None:
        self._stream, self._run = stream, run

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._tell("stopped")
        elif error is not None:
            self._tell("failed", error=str(error), kind=type(error).__name__)

    def started(self, started: Started) -> None:
        """Say what is about to be computed."""
        self._tell(
            "started",
            rows=started.spec.rows,
            rows_done=started.rows_done,
            units_todo=started.units_todo,
            workers=started.workers,
            wanted=started.wanted,
            notes=list(started.notes),
            labels=started.labels,
            leftovers=[asdict(leftover) for leftover in started.spec.leftovers],
        )

    def receipt(self, receipt: Receipt) -> None:
        """Say that a unit is done."""
        self._tell(
            "unit",
            unit=receipt.unit,
            lo=receipt.lo,
            hi=receipt.hi,
            ok=receipt.ok,
            quarantined=receipt.quarantined,
            reasons=dict(receipt.reasons),
            attempt=receipt.attempt,
            host=receipt.host,
            seconds=dict(receipt.seconds),
            memory=receipt.memory,
        )

    def failure(self, failure: Failure) -> None:
        """Say that an attempt failed, or that a worker or a node was lost."""
        if failure.kind == "gave_up":  # the error that ends the run says it
            return
        self._tell(
            failure.kind,
            units=[unit.id for unit in failure.units],
            attempt=failure.attempt,
            error=failure.error,
            node=failure.node,
            log=failure.log,
        )

    def finished(self, totals: Totals) -> None:
        """Say how the run went as a whole."""
        self._tell(
            "finished",
            rows=totals.rows,
            ok=totals.ok,
            quarantined=totals.quarantined,
            reasons=dict(totals.reasons),
        )

    def _tell(self, event: str, **fields: object) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "event": event, "run": self._run, **fields}
        print(json.dumps(line), file=self._stream, flush=True)
