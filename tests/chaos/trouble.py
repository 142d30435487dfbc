"""A store that fails: every call of obstore is counted, and one of them goes wrong."""

import inspect
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import obstore

CALLS = ("put", "put_async", "get", "get_async", "get_range_async", "head", "delete", "list")
"""What the run's room and zarr call."""


class StoreFailed(OSError):
    """What the failing store says."""


class StoreTrouble:
    """Let ``happen(name, arguments)`` decide before every call of this process to any store.

    It may raise, end the process or return; ``count`` is the number of calls so far.
    """

    def __init__(self, happen: "Callable[[StoreTrouble, str, tuple[Any, ...]], None]") -> None:
        self._happen = happen
        self._lock = threading.Lock()
        self.count = 0

    def __enter__(self) -> "StoreTrouble":
        self._before = {name: getattr(obstore, name) for name in CALLS}
        for name, call in self._before.items():
            setattr(obstore, name, self._wrap(name, call))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, call in self._before.items():
            setattr(obstore, name, call)

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def before(arguments: tuple[Any, ...]) -> None:
            with self._lock:
                self.count += 1
                self._happen(self, name, arguments)

        if name.endswith("_async"):

            async def troubled_async(*arguments: Any, **options: Any) -> Any:
                before(arguments)
                answer = call(*arguments, **options)
                return await answer if inspect.isawaitable(answer) else answer

            return troubled_async

        def troubled(*arguments: Any, **options: Any) -> Any:
            before(arguments)
            return call(*arguments, **options)

        return troubled


def failing_at(number: int) -> StoreTrouble:
    """Raise at the call with this number, counted from 1."""

    def happen(trouble: StoreTrouble, name: str, arguments: tuple[Any, ...]) -> None:
        if trouble.count == number:
            raise StoreFailed(f"503: call {number}, {name}")

    return StoreTrouble(happen)


def failing_at_random(share: float, seed: int) -> StoreTrouble:
    """Raise at a share of all calls."""
    dice = random.Random(seed)

    def happen(trouble: StoreTrouble, name: str, arguments: tuple[Any, ...]) -> None:
        if dice.random() < share:
            raise StoreFailed(f"503: {name}")

    return StoreTrouble(happen)


def dying_at(number: int) -> StoreTrouble:
    """Kill this process at the call with this number; a put leaves half of its file behind."""

    def happen(trouble: StoreTrouble, name: str, arguments: tuple[Any, ...]) -> None:
        if trouble.count == number:
            _leave_half(name, arguments)
            os.kill(os.getpid(), signal.SIGKILL)

    return StoreTrouble(happen)


def dying_in_a_shard() -> StoreTrouble:
    """Kill this process in the middle of writing the first shard of maps."""

    def happen(trouble: StoreTrouble, name: str, arguments: tuple[Any, ...]) -> None:
        if name.startswith("put") and "/maps/c/" in arguments[1]:
            _leave_half(name, arguments)
            os.kill(os.getpid(), signal.SIGKILL)

    return StoreTrouble(happen)


def _leave_half(name: str, arguments: tuple[Any, ...]) -> None:
    """Leave what a local put that is killed leaves: a part, staged beside its place."""
    if name.startswith("put"):
        store, path, content = arguments[:3]
        staged = Path(str(store.prefix)) / f"{path}#1"
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(bytes(memoryview(content).cast("B"))[: max(1, len(bytes(content)) // 2)])
