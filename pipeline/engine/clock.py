"""Seconds per stage of a unit."""

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

    @property
    def seconds(self) -> dict[str, float]:
        """Stage → seconds so far, rounded to 0.1 ms."""
        with self._lock:
            return {stage: round(spent, 4) for stage, spent in self._spent.items()}
