"""``Progress``: how much of a step is done, and a function that shows it."""

import threading
from collections.abc import Callable

Show = Callable[[int, int], None]
"""Called with what is done and of how much, both in units of work that take about equally long."""


def unseen(done: int, total: int) -> None:
    """Show nothing."""


class Progress:
    """Counts work, from any thread, towards a total that may be corrected as more is known.

    ``show`` is never called by two threads at once, and never with more done than the total.
    """

    def __init__(self, show: Show = unseen) -> None:
        self._show = show
        self._done = self._total = 0
        self._lock = threading.Lock()

    def plan(self, work: int) -> None:
        """Set how much is still to be done."""
        with self._lock:
            self._total = self._done + work

    def add(self, work: int = 1) -> None:
        """Count work as done."""
        with self._lock:
            self._done += work
            self._total = max(self._total, self._done)
            self._show(self._done, self._total)
