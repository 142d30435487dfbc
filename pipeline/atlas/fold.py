"""The fold: Dask tasks over units, merged in a tree. The only module that uses Dask.

A leaf takes a stretch of consecutive units and adds them to one state in place, because a state
(every class present, every layer) is often larger than a unit: one state per unit would mostly
copy zeros. There are about as many stretches as threads, so as many states are held at once. The
result of a task is never changed afterwards, so a cluster may repeat any task.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import dask

from pipeline.errors import ConfigError
from pipeline.store.layout import Unit

State = TypeVar("State")

_TIMEOUT = 20  # seconds to connect to a scheduler


def fold(
    units: Sequence[Unit],
    leaves: Sequence[tuple[Callable[[Sequence[Unit]], State], float]],
    merge: Callable[[State, State], State],
    workers: int | None,
) -> State:
    """Return the merged states of all units.

    Parameters
    ----------
    leaves
        Functions that return the state of some units, each with its share of the work; picklable if
        a ``distributed`` client is active. Every unit is passed to each of them.
    merge
        Associative and commutative; must not change its arguments.
    workers
        Threads of this machine; None uses the active ``distributed`` client, or else one thread
        per processor.
    """
    cluster = _cluster_threads() if workers is None else None
    threads = workers or cluster or os.cpu_count() or 1
    tasks = [
        dask.delayed(leaf, pure=False)(stretch)
        for leaf, share in leaves
        for stretch in stretches(units, round(threads * share))
    ]
    while len(tasks) > 1:
        pairs = zip(tasks[::2], tasks[1::2], strict=False)
        merged = [dask.delayed(merge, pure=False)(*pair) for pair in pairs]
        tasks = merged + tasks[2 * len(merged) :]
    if cluster:
        return tasks[0].compute()  # type: ignore[no-any-return]
    return tasks[0].compute(scheduler="threads", num_workers=threads)  # type: ignore[no-any-return]


def stretches(units: Sequence[Unit], count: int) -> list[tuple[Unit, ...]]:
    """Split units into at most ``count`` non-empty runs of nearly equal length."""
    count = max(1, min(count, len(units)))
    cuts = [len(units) * i // count for i in range(count + 1)]
    return [tuple(units[lo:hi]) for lo, hi in pairwise(cuts)]


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Run folds on the Dask cluster at an address (``tcp://…``); without one, change nothing.

    Raises
    ------
    ConfigError
        There is no cluster, or ``distributed`` is not installed.
    """
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError(
            "a Dask cluster needs distributed: pip install 'flowatlas[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=_TIMEOUT)
    except (OSError, ValueError) as error:
        raise ConfigError(f"there is no Dask scheduler at {address}: {error}") from None
    with client:
        yield


def is_distributed() -> bool:
    """Return whether a ``distributed`` client is active."""
    return _cluster_threads() is not None


def _cluster_threads() -> int | None:
    """Return the threads of the active distributed client, None without one."""
    try:
        from distributed import get_client
    except ImportError:
        return None
    try:
        client = get_client()
    except ValueError:
        return None
    return max(1, sum(int(threads) for threads in client.nthreads().values()))
