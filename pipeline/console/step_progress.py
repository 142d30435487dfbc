"""Progress of the steps after the flows: a bar with the time left, or lines in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.console.command import say
from pipeline.console.progress import LINE_SECONDS, clock


class StepProgress:
    """Shows which step is at work, for how long, and the time left where a step counts its parts.

    A step may begin to count anew, as screening does in each of its rounds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        left = TextColumn("{task.fields[left]}")
        self._bar = Progress(
            *columns, TimeElapsedColumn(), left, console=console, disable=not self._live
        )
        self._task = self._bar.add_task("", total=None, left="", visible=False)
        self._last_line = self._begin = time.monotonic()
        self._before = 0

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
        """Show that so many parts of a step are done, of how many; 0 of 0 when it begins."""
        now = time.monotonic()
        if not total:
            self._bar.reset(self._task, total=None, description=step, left="", visible=True)
        if not total or done < self._before:
            self._begin = self._last_line = now
        self._before = done
        left = (total - done) * (now - self._begin) / done if done else 0.0
        words = f"{clock(left)} left" if done else ""
        self._bar.update(self._task, completed=done, total=total or None, left=words)
        if not self._live and done and now - self._last_line > LINE_SECONDS:
            self._last_line = now
            say(f"{step}: {done:,} of {total:,}, {words}", self._console)

    def end(self) -> None:
        """Hide the bar until the next step begins."""
        self._bar.update(self._task, visible=False)
