"""``Rate``: how fast work is done, and the time left, of flows and of every later step."""

from collections import deque

_WINDOW_SECONDS = 300.0
"""The rate is averaged over this time, because workers join and leave."""


class Rate:
    """Work per second over the last minutes, from the first work that was done on.

    The start of the workers does not affect it, unless nothing else is known yet. Times are
    seconds of any clock.
    """

    def __init__(self, begin: float) -> None:
        self._begin = begin
        self._recent: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> float:
        """Return the rate when ``done`` units of work, in all, are done; 0 if none is."""
        self._recent.append((now, done))
        while len(self._recent) > 2 and now - self._recent[1][0] > _WINDOW_SECONDS:
            self._recent.popleft()
        then, before = self._recent[0]
        if done > before and now > then:
            return (done - before) / (now - then)
        return done / (now - self._begin) if now > self._begin else 0.0


def clock(seconds: float) -> str:
    """Return a time as ``m:ss`` or ``h:mm:ss``."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"
