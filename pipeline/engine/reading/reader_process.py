"""``ReaderProcess``: one reader process, as its worker sees it."""

import signal
import socket
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

from pipeline.engine.reading.fork_server import ForkServer
from pipeline.engine.reading.pending import ENOUGH, Piece

_AT_ONCE = 2
"""Pieces a reader has: one it reads, and the next, so that it never waits."""

_FROM_OUTSIDE = {-signal.SIGKILL, -signal.SIGTERM}
"""How a process ends that somebody else ends, such as the kernel when memory runs out."""


class ReaderProcess:
    """A child of the fork server, with pieces in progress; OSError if the fork server has died."""

    def __init__(self, fork_server: ForkServer, number: int) -> None:
        mine, its = socket.socketpair()
        with its:
            self.pid = fork_server.fork(number, its)
        self.connection: Any = Connection(mine.detach())
        self.number, self._fork_server = number, fork_server
        self.in_progress: deque[Piece] = deque()

    def room(self, piece: Piece) -> bool:
        """Whether the reader can take this piece now."""
        held = self.in_progress
        if not held:
            return True
        return not (piece.alone or held[0].alone) and len(held) < _AT_ONCE

    def take(self, piece: Piece) -> None:
        """Send a piece; OSError if the reader is dead."""
        self.in_progress.append(piece)
        self.connection.send_bytes(piece.request.to_bytes())

    def status(self) -> int:
        """Wait for the end of a dead process; return its exit code, or minus a signal."""
        self.connection.close()
        return self._fork_server.status(self.pid)


def blame_of(status: int) -> int:
    """Return how much a reader's image is to blame for its end, of ``ENOUGH``."""
    return 1 if status in _FROM_OUTSIDE or status >= 0 else ENOUGH // 2
