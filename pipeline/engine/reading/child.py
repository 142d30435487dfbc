"""The fork server's own side: it forks reader processes, which read until their worker is gone."""

import ctypes
import os
import pickle
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.engine.reading.messages import STARTED, UNREAD, Answer, Found, Request, Settings
from pipeline.engine.reading.ring import NOTHING, Ring
from pipeline.engine.usage.clock import Clock
from pipeline.engine.usage.peak_memory import peak_resident
from pipeline.images import ImageReader, Place, Reason

_PR_SET_PDEATHSIG = 1

_AHEAD = 2
"""Pieces whose images are fetched."""

_REQUESTS = 8
"""Images that are fetched at once from an object store, to hide its latency."""

Fetched = Callable[[], bytes | Reason]


def read(settings: Settings, number: int, connection: Any) -> None:
    """Read images until the worker closes the connection; ``number`` is the reader's own."""
    ring = Ring(settings.shape, settings.ring)
    reader = settings.reader()
    fetchers = ThreadPoolExecutor(_REQUESTS, thread_name_prefix="fetch")
    clock, reported = Clock(), dict[str, float]()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        for request, contents in _requests(connection, reader, fetchers, clock):
            found: list[Found] = []
            error: Exception | None = None
            for place, fetched in enumerate(contents, request.first):
                ring.held[number] = request.slot * settings.shape.images + place
                try:
                    found.append(_one(ring.pixels[request.slot, place], fetched, reader, clock))
                except Exception as transient:  # the unit is tried again
                    found.append(UNREAD)
                    error = error or _portable(transient)
                ring.held[number] = NOTHING
            seconds = clock.seconds
            since = {stage: spent - reported.get(stage, 0.0) for stage, spent in seconds.items()}
            connection.send_bytes(Answer(found, since, peak_resident(), error).to_bytes())
            reported = seconds


def _requests(
    connection: Any, reader: ImageReader, fetchers: ThreadPoolExecutor, clock: Clock
) -> Iterator[tuple[Request, Iterator[Fetched]]]:
    """Yield requests with their images, those of the next request being fetched already."""
    waiting: deque[tuple[Request, list[Fetched]]] = deque()

    def receive() -> None:
        request = Request.from_bytes(connection.recv_bytes())
        waiting.append((request, [_fetch(reader, p, fetchers, clock) for p in request.places]))

    def images(fetched: list[Fetched]) -> Iterator[Fetched]:
        for one in fetched:
            if len(waiting) < _AHEAD - 1 and connection.poll():
                receive()
            yield one

    while True:
        if not waiting:
            receive()
        request, fetched = waiting.popleft()
        yield request, images(fetched)


def _fetch(
    reader: ImageReader, place: Place, fetchers: ThreadPoolExecutor, clock: Clock
) -> Fetched:
    if not reader.is_remote(place):
        return lambda: reader.fetch(place, clock)
    # Several are on their way at once: what counts is how long the reader waits for them.
    future: Future[bytes | Reason] = fetchers.submit(reader.fetch, place, Clock())

    def wait() -> bytes | Reason:
        with clock("fetch"):
            return future.result()

    return wait


def _one(pixels: NDArray[np.uint8], fetched: Fetched, reader: ImageReader, clock: Clock) -> Found:
    crop = reader.crop(fetched(), clock)
    pixels[:] = 0 if crop.pixels is None else crop.pixels
    return crop.reason and str(crop.reason), crop.width, crop.height


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an exception whose constructor wants something else
        return OSError(f"{type(error).__name__}: {error}")
    return error


def _serve(settings: Settings, commands: socket.socket) -> None:
    import torch  # the first image would wait for it

    torch.set_num_threads(1)
    settings.reader()
    while True:
        content, received, _, _ = socket.recv_fds(commands, 64, 1)
        if not content:
            return
        command, number = content.split()
        if command == b"wait":
            _, status = os.waitpid(int(number), 0)
            commands.send(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        parent = os.getpid()
        if pid := os.fork():
            os.close(received[0])
            commands.send(b"%d" % pid)
            continue
        try:
            commands.close()
            _end_with(parent)
            connection: Any = Connection(received[0])
            connection.send_bytes(STARTED)
            read(settings, int(number), connection)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)  # at once, whatever is still being fetched


def _end_with(parent: int) -> None:
    """Let this process be killed as soon as its parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    _end_with(os.getppid())
    _serve(Settings.from_json(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
