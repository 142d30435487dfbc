"""Seconds per stage of a unit, and spans of time."""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up seconds by stage (``with clock("decode"): …``); threads may share one.

    A stage within another is not counted towards the outer one. Stages that run in several threads
    (fetch, decode, transform) can add up to more than the wall time.
    """

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._within = threading.local()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of the block towards ``stage``."""
        outer = getattr(self._within, "inner", 0.0)
        self._within.inner, start = 0.0, time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.add(stage, spent - self._within.inner)
            self._within.inner = outer + spent

    def add(self, stage: str, seconds: float) -> None:
        """Count ``seconds`` towards ``stage``."""
        with self._lock:
            self._spent[stage] += seconds

    def add_all(self, other: "Clock") -> None:
        """Count what another clock has counted."""
        for stage, spent in other._spent.items():
            self.add(stage, spent)

    @property
    def seconds(self) -> dict[str, float]:
        """Stage → seconds so far, rounded to 0.1 ms."""
        with self._lock:
            return {stage: round(spent, 4) for stage, spent in self._spent.items()}


class Spans:
    """When something was going on (``with spans(): …``), in any thread."""

    def __init__(self) -> None:
        self._spans: list[list[float]] = []
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Let the block be a span."""
        span = [time.perf_counter(), math.inf]
        with self._lock:
            self._spans.append(span)
        try:
            yield
        finally:
            span[1] = time.perf_counter()

    def within(self, start: float, end: float) -> float:
        """Return the seconds of ``[start, end)`` that spans cover; earlier ones are forgotten.

        Times are those of ``time.perf_counter``; ask for them in ascending order.
        """
        with self._lock:
            self._spans = [span for span in self._spans if span[1] > start]
            covered, until = 0.0, start
            for begin, stop in sorted(map(tuple, self._spans)):
                begin, stop = max(begin, until), min(stop, end)
                covered += max(0.0, stop - begin)
                until = max(until, stop)
        return covered
