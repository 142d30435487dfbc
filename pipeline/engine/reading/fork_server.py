"""``ForkServer``: a process that has imported what readers need, and forks them in milliseconds.

Readers share its memory until they write to it, and die with it, as it dies with its worker.
"""

import array
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from pipeline.engine.reading.messages import Settings

_MODULE = "pipeline.engine.reading.child"
KILLED = -int(signal.SIGKILL)

_PATIENCE = 10.0
"""Seconds that a fork server whose connection is broken may take to end."""


class ForkServer:
    """The process as its worker sees it; it dies with the thread that started it."""

    def __init__(self, settings: Settings) -> None:
        self._socket, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, settings.to_json(), str(its.fileno())],
                pass_fds=(settings.ring, its.fileno()),
                stdin=subprocess.DEVNULL,
                # The worker's sys.path may hold more than PYTHONPATH does. No threads: it forks.
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "CUDA_VISIBLE_DEVICES": "",
                    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
                    "JE_ARROW_MALLOC_CONF": "background_thread:false",
                },
            )

    def fork(self, number: int, connection: socket.socket) -> int:
        """Fork a reader that speaks through ``connection``; return its process id.

        Raises
        ------
        OSError
            The fork server has died.
        """
        descriptors = array.array("i", [connection.fileno()])
        content = b"fork %d" % number
        self._socket.sendmsg([content], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        return self._answer()

    def status(self, pid: int) -> int:
        """End a reader, if it still lives; return its exit code, or minus the signal."""
        try:
            if self._process.poll() is None:  # so it is its parent, and no other process has pid
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._socket.send(b"wait %d" % pid)
            return self._answer()
        except OSError:  # the fork server was killed, and its readers with it
            return KILLED

    def _answer(self) -> int:
        answer = self._socket.recv(64)
        if not answer:
            raise ConnectionResetError("the fork server of the readers has died")
        return int(answer)

    @property
    def end(self) -> str:
        """How the process ended; one that no longer answers is killed."""
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def close(self) -> None:
        """End the process and all of its readers at once."""
        self._process.kill()
        self._process.wait()
        self._socket.close()
