"""Progress of a run: rows done, rate, time left; a bar on a terminal, lines in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from pipeline.engine import Started
from pipeline.store import Receipt

_LINE_SECONDS = 15.0
"""A log gets a line this often at most."""


class FlowProgress:
    """Shows what ``run_flows`` reports.

    The rate counts this driver's own rows, from its first finished unit on: what the workers take
    to start says nothing about the time left.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._bar = Progress(
            TextColumn("flows"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            console=console,
            disable=not self._live,
        )
        self._task = self._bar.add_task("flows", total=None)
        self._begin = self._told = time.monotonic()
        self._rows = self._resumed = self._done = 0
        self._first = (0, self._begin)

    def __enter__(self) -> "FlowProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def started(self, started: Started) -> None:
        """Say what is about to be computed."""
        spec = started.spec
        self._rows, self._resumed = spec.rows, started.rows_done
        self._begin = self._told = time.monotonic()
        earlier = f", {started.rows_done:,} done earlier" if started.rows_done else ""
        self._console.print(
            f"{spec.rows:,} images in {len(spec.units)} units{earlier}; "
            f"{len(spec.layers)} layers of {spec.grid[0]}×{spec.grid[1]} cells; "
            f"{started.workers} worker{'s' * (started.workers != 1)}",
            highlight=False,
        )
        self._bar.update(self._task, total=spec.rows, completed=started.rows_done)

    def receipt(self, receipt: Receipt) -> None:
        """Count a finished unit."""
        rows, now = receipt.hi - receipt.lo, time.monotonic()
        if not self._done:
            self._first = (rows, now)
        self._done += rows
        rate = self._rate(now)
        completed = self._resumed + self._done
        left = (self._rows - completed) / rate
        self._bar.update(self._task, completed=completed, rate=rate, left=left)
        if not self._live and (now - self._told > _LINE_SECONDS or completed == self._rows):
            self._told = now
            self._console.print(
                f"{completed:,} of {self._rows:,} images, {_speed(rate, left)}", highlight=False
            )

    def _rate(self, now: float) -> float:
        """Return rows per second since the first unit, or up to it if there is only that one."""
        rows, then = self._first
        if self._done > rows and now > then:
            return (self._done - rows) / (now - then)
        return self._done / (now - self._begin)


class _Rate(ProgressColumn):
    """Images per second and time left."""

    def render(self, task: Task) -> Text:
        if "rate" not in task.fields:
            return Text("starting workers")
        return Text(_speed(task.fields["rate"], task.fields["left"]))


def _speed(rate: float, left: float) -> str:
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    return f"{rate:.1f} images/s, {clock} left"
