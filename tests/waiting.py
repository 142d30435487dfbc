"""Waiting for an event, with a limit that a busy machine does not reach."""

import time
from collections.abc import Callable, Iterable

import psutil

TIMEOUT = 240.0
"""Seconds after which the wait fails."""


def until(happened: Callable[[], object], seconds: float = TIMEOUT, every: float = 0.01) -> None:
    """Return when ``happened()`` is true; fail if it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"still waiting after {seconds:g} s"
        time.sleep(every)


def until_ended(processes: Iterable[psutil.Process]) -> None:
    """Return when all processes have ended, waited for by their parents or not."""
    left = list(processes)
    until(lambda: not any(map(_at_work, left)))


def _at_work(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
