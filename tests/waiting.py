"""Waiting for an event, with a limit that a busy machine does not reach."""

import time
from collections.abc import Callable

TIMEOUT = 240.0
"""Seconds after which the wait fails."""


def until(happened: Callable[[], object], seconds: float = TIMEOUT, every: float = 0.01) -> None:
    """Return when ``happened()`` is true; fail if it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"still waiting after {seconds:g} s"
        time.sleep(every)
