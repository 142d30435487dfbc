"""The nodes of a Ray cluster: how to reach them, and what each has."""

import ctypes
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from pipeline.errors import FlowatlasError, first_line

_log = logging.getLogger(__name__)

_TRIES = 3

_OBJECT_STORE_BYTES = 100 * 2**20
"""Only descriptors and receipts are sent; by default Ray would take 30 % of the memory."""


def nodes() -> dict[str, dict[str, float]]:
    """Return the resources of every node that is alive, by its id."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def connect(address: str | None) -> bool:
    """Join the cluster at ``address`` (or of the surrounding Ray job), else start Ray here.

    ``local`` starts Ray here in any case. Returns whether a cluster was joined; nodes may
    join and leave it.

    Raises
    ------
    FlowatlasError
        There is no cluster at ``address``, or Ray does not start here.
    """
    address = address or os.environ.get("RAY_ADDRESS", "local")
    with _own_handler(signal.SIGTERM):
        _init(address)
    return address != "local"


def start(**options: Any) -> None:
    """Start Ray here, with options of ``ray.init``.

    Ray waits half a minute for its own processes, and fails if they take longer, as they may on a
    machine that is busy or reads them for the first time; then it is started again.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            ray.init(address="local", **options)
            return
        except Exception as error:  # Ray raises plain ones
            ray.shutdown()
            if not tries_left:
                raise
            _log.warning("Ray did not start, and is started again: %s", first_line(error))


def _init(address: str) -> None:
    # By Ray's own choice (15), whatever else runs on this machine would starve the workers.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Outside the main thread it warns that Python's handler is not replaced, as is wanted.
    logging.getLogger("ray._private.worker").setLevel(logging.ERROR)
    local = address == "local"
    try:
        if local:
            start(
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                logging_level="error",
                log_to_driver=True,
            )
        else:
            ray.init(address=address, log_to_driver=True)
    except Exception as error:
        ray.shutdown()
        what = "start on this machine" if local else f"join a cluster at {address}"
        raise FlowatlasError(
            f"Ray could not {what}: {first_line(error).rstrip('.')}. Try the same command again, "
            "or compute without Ray: cluster: {engine: local} in the configuration"
        ) from error


@contextmanager
def _own_handler(number: int) -> Iterator[None]:
    """Put a signal's handler back at the end of the block: Ray's own ends the process at once.

    Ray replaces Python's handler, in the main thread only, and the process's one, in any.
    """
    main = threading.current_thread() is threading.main_thread()
    before, native = signal.getsignal(number), _native_handler(number)
    try:
        yield
    finally:
        if main:
            signal.signal(number, before)
        else:
            _set_native_handler(number, native)


# Functions of Python itself; unlike those of the module signal they work in any thread.
_native_handler = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_int)(
    ("PyOS_getsig", ctypes.pythonapi)
)
_set_native_handler = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
    ("PyOS_setsig", ctypes.pythonapi)
)
