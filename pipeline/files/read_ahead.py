"""Read-ahead: work that waits on disks and networks, done by threads before it is needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 16
"""Enough to hide an object store's latency; they wait, so the number of cores does not matter."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def ahead(work: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """Yield the results of ``work`` in the order of ``items``; at most 16 are in flight."""
    waiting: deque[Future[_Out]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="list") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
