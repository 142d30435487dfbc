"""Progress of a run: rows done, rate, time left; a bar on a terminal, lines in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from pipeline.console.command import say
from pipeline.console.rate import Rate, clock
from pipeline.engine import Failure, Pace, Started
from pipeline.nouns import counted, part_of
from pipeline.store import Receipt

LINE_SECONDS = 15.0
"""A log gets at most one line in this time."""


class FlowProgress:
    """Shows what ``run_flows`` reports.

    The rate counts this driver's rows from its first finished unit on (the start of the workers
    does not affect the time left), over the last minutes (workers join and leave). ``noun`` is what
    a row is: an image, or a row of one with several labels.
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
        self._begin = self._last_line = time.monotonic()
        self._rows = self._resumed = self._done = 0
        self.noun = "images"
        self._rate = Rate(self._begin)
        self._pace = Pace(threads=0)

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
        """Print what is about to be computed."""
        spec = started.spec
        self._rows, self._resumed = spec.rows, started.rows_done
        self.noun = "rows" if spec.multi_label else "images"
        self._begin = self._last_line = time.monotonic()
        self._rate = Rate(self._begin)
        self._pace = Pace(started.threads, started.room, started.cpus)
        earlier = f", {started.rows_done:,} done earlier" if started.rows_done else ""
        workers = f"; {counted(started.workers, 'worker')}"
        if not started.units_todo:
            earlier, workers = ", all done earlier", ""
        say(
            f"{spec.counted} in {counted(len(spec.units), 'unit')}{earlier}; "
            f"{counted(len(spec.layers), 'layer')} of {spec.grid[0]}×{spec.grid[1]} cells{workers}",
            self._console,
        )
        for note in started.notes:
            say(f"model: {note}", self._console)
        say(f"labels: {started.labels}", self._console)
        for leftover in spec.leftovers:
            say(f"not used: {leftover}", self._console)
        if started.workers < started.wanted:
            self._console.print(
                "[yellow]the cluster has room for "
                f"{part_of(started.workers, started.wanted, 'worker')}; "
                "more nodes were requested and will be used when they join",
                highlight=False,
            )
        self._bar.update(self._task, total=spec.rows, completed=started.rows_done)

    def receipt(self, receipt: Receipt) -> None:
        """Count a finished unit."""
        now = time.monotonic()
        self._done += receipt.hi - receipt.lo
        self._pace.add(receipt)
        rate = self._rate.add(now, self._done)
        completed = self._resumed + self._done
        left = (self._rows - completed) / rate
        self._bar.update(self._task, completed=completed, rate=rate, left=left, noun=self.noun)
        if not self._live and (now - self._last_line > LINE_SECONDS or completed == self._rows):
            self._last_line = now
            speed = _speed(rate, left if completed < self._rows else None, self.noun)
            say(f"{completed:,} of {self._rows:,} {self.noun}, {speed}", self._console)

    def failure(self, failure: Failure) -> None:
        """Print a failed attempt, or a lost worker or node, in one line."""
        if failure.kind != "gave_up":  # reported by the error that ends the run
            where = f" ({failure.log})" if failure.log else ""
            say(f"{failure.sentence}{where}", self._console, style="yellow")

    @property
    def summary(self) -> str | None:
        """The driver's rate and bottleneck in one line; None if it finished no unit."""
        if not self._done:
            return None
        seconds = time.monotonic() - self._begin
        return (
            f"{self._done:,} {self.noun} in {clock(seconds)}, "
            f"{self._done / seconds:.1f} {self.noun}/s "
            f"including the workers' start; {self._pace.sentence}"
        )


class _Rate(ProgressColumn):
    """Images per second and time left."""

    def render(self, task: Task) -> Text:
        if "rate" not in task.fields:
            return Text("starting workers")
        return Text(_speed(task.fields["rate"], task.fields["left"], task.fields["noun"]))


def _speed(rate: float, left: float | None, noun: str = "images") -> str:
    words = f"{rate:.1f} {noun}/s"
    return words if left is None else f"{words}, {clock(left)} left"
