"""Progress of the steps after the flows: a bar with the time left, or lines in a log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from pipeline.console.command import errors, say
from pipeline.console.progress import LINE_SECONDS
from pipeline.console.rate import Rate, clock
from pipeline.progress import Show


class StepProgress:
    """Shows which step is at work, for how long, how much of it is done, and the time left.

    The time left follows from the rate of the last minutes. ``now`` is a clock in seconds.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console, self._now = console, now
        self._live = console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            _Left(now),
            console=console,
            disable=not self._live,
        )
        self._task = self._bar.add_task("", total=None, end=None, visible=False)
        self._last_line = now()
        self._rate, self._first = Rate(self._last_line), True

    def __enter__(self) -> "StepProgress":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show how much of a step is done, and of how much; 0 of 0 when it begins."""
        now = self._now()
        if not total:
            self._bar.reset(self._task, total=None, description=step, end=None, visible=True)
            self._rate, self._last_line, self._first = Rate(now), now, True
            return
        rate, first = self._rate.add(now, done), self._first
        self._first = False
        # The first work took the start of the workers, too: no rate follows from it.
        left = (total - done) / rate if rate and not first else None
        end = None if left is None else now + left
        self._bar.update(self._task, completed=done, total=total, end=end)
        late = now - self._last_line > LINE_SECONDS
        if not self._live and left is not None and done < total and late:
            self._last_line = now
            say(f"{step}: {done / total:.0%} done, {clock(left)} left", self._console)

    def end(self) -> None:
        """Hide the bar until the next step begins."""
        self._bar.update(self._task, visible=False)


class _Left(ProgressColumn):
    """The time left, which shrinks between two reports of work done."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now

    def render(self, task: Task) -> Text:
        end = task.fields["end"]
        return Text("" if end is None else f"{clock(max(0.0, end - self._now()))} left")


@contextmanager
def shown(step: str) -> Iterator[Show]:
    """Show the progress of a command that is one step, beside its output; yields what to call."""
    with StepProgress(errors) as progress:
        progress(step, 0, 0)
        yield partial(progress, step)
        progress.end()
