"""One driver per run: a lock object with a heartbeat."""

import contextlib
import json
import logging
import os
import platform
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType

import obstore
from obstore.store import ObjectStore

from pipeline.errors import RunConflict, first_line
from pipeline.store.layout import LOCK
from pipeline.store.objects import delete, read, write, write_once

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 10.0
_STALE_SECONDS = 60.0
"""A lock this long without a heartbeat belongs to a dead driver."""
_SETTLE_SECONDS = 0.5
"""After taking over, time for another who takes over at the same moment to show."""


_held: set[str] = set()
"""Tokens of the locks that this process holds."""


class RunLock:
    """Hold a run while computing it (a context manager).

    The lock of a dead driver is taken over: at once if it ran on this machine and its process is
    gone, else when its heartbeat is a minute old. Workers it left behind may still commit; commits
    are idempotent, so that does no harm.

    Raises
    ------
    RunConflict
        Another driver is alive.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._token = uuid.uuid4().hex
        self._stop, self._lost = threading.Event(), threading.Event()
        self._beat = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> "RunLock":
        if not write_once(self._store, LOCK, self._content()):
            owner, age = self._owner()
            # A store may have written it and lost the answer: then the lock is our own.
            if owner.get("token") != self._token and _alive(owner, age):
                raise RunConflict(
                    f"another driver holds this run ({owner.get('host')}, process "
                    f"{owner.get('pid')}, last sign of life {age:.0f} s ago); wait for it, or stop "
                    "it and try again in a minute"
                )
            _log.warning(
                "taking this run over from a driver that is gone (%s, process %s)",
                owner.get("host"),
                owner.get("pid"),
            )
            write(self._store, LOCK, self._content())
            time.sleep(_SETTLE_SECONDS)
            self._look()
            self.check()
        _held.add(self._token)
        self._beat.start()
        return self

    def check(self) -> None:
        """Raise RunConflict if another driver has taken the run over, e.g. while this one slept."""
        if self._lost.is_set():
            raise RunConflict(
                "another driver has taken this run over; wait for it (what was done here is kept)"
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._beat.join()
        _held.discard(self._token)
        # A lock that cannot be removed now is stale all the same, or will be in a minute.
        with contextlib.suppress(Exception):
            if self._owner()[0].get("token") == self._token:
                delete(self._store, LOCK)

    def _content(self) -> bytes:
        owner = {"host": platform.node(), "pid": os.getpid(), "token": self._token}
        return json.dumps(owner).encode()

    def _owner(self) -> tuple[dict[str, object], float]:
        """Return who holds the lock and the age of the last heartbeat in seconds."""
        try:
            age = time.time() - obstore.head(self._store, LOCK)["last_modified"].timestamp()
            return json.loads(read(self._store, LOCK)), age
        except (FileNotFoundError, ValueError):
            return {}, float("inf")

    def _keep_beating(self) -> None:
        while not self._stop.wait(_BEAT_SECONDS) and not self._lost.is_set():
            # A store that does not answer now may do so at the next beat.
            try:
                self._look()
                if not self._lost.is_set():
                    write(self._store, LOCK, self._content())
            except Exception as error:
                _log.info("the lock could not be renewed, tried again: %s", first_line(error))

    def _look(self) -> None:
        """Notice whether the lock has become another's; one that was removed is still ours."""
        owner, _ = self._owner()
        if owner and owner.get("token") != self._token:
            _log.warning("the lock has become that of %s", owner.get("host", "another driver"))
            self._lost.set()


def _alive(owner: dict[str, object], age: float) -> bool:
    pid = owner.get("pid")
    if owner.get("host") == platform.node() and isinstance(pid, int):
        if pid == os.getpid():  # which a container started anew may have had before, too
            return owner.get("token") in _held
        if _gone(pid):
            return False
    return age < _STALE_SECONDS


def _gone(pid: int) -> bool:
    """Return whether a process of this machine has ended, even if its parent has not waited."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"
