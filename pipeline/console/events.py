"""``EventLog``: a run's events as lines of JSON, for log collectors."""

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
    ``retry``, ``worker_lost`` and ``node_lost`` (what went wrong, with the units in progress
    and the path of the traceback within the run), ``finished``, ``stopped``
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
            self._write("stopped")
        elif error is not None:
            self._write("failed", error=str(error), kind=type(error).__name__)

    def started(self, started: Started) -> None:
        """Report what is about to be computed."""
        self._write(
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
        """Report a finished unit."""
        self._write(
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
        """Report a failed attempt, or a lost worker or node."""
        if failure.kind == "gave_up":  # reported by the error that ends the run
            return
        self._write(
            failure.kind,
            units=[unit.id for unit in failure.units],
            attempt=failure.attempt,
            error=failure.error,
            node=failure.node,
            log=failure.log,
        )

    def finished(self, totals: Totals) -> None:
        """Report the totals of the run."""
        self._write(
            "finished",
            rows=totals.rows,
            ok=totals.ok,
            quarantined=totals.quarantined,
            reasons=dict(totals.reasons),
        )

    def _write(self, event: str, **fields: object) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "event": event, "run": self._run, **fields}
        print(json.dumps(line), file=self._stream, flush=True)
