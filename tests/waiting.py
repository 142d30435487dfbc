"""Waiting for what has to happen, however long the machine's other work lets it take."""

import time
from collections.abc import Callable

PATIENCE = 240.0
"""Seconds after which it will not happen any more."""


def until(happened: Callable[[], object], seconds: float = PATIENCE, every: float = 0.01) -> None:
    """Return when ``happened()`` is true; fail if it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"still waiting after {seconds:g} s"
        time.sleep(every)
