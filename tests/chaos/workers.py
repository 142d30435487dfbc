"""Openers of workers to which something happens; each is importable where actors are."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipeline.engine import open_flows
from pipeline.engine.scheduling.interface import Attempt
from pipeline.engine.worker import Computed, FlowWorker, PendingUnit
from pipeline.store import Receipt
from tests.chaos.trouble import dying_in_a_shard, failing_at_random

DEADLY = b"this image kills its decoder"

GREED = 3 * 2**29
"""Bytes that a greedy worker takes beyond what the machine may have in use."""


def once(flag: Path) -> bool:
    """Return True to the first process that asks."""
    try:
        flag.open("x").close()
    except FileExistsError:
        return False
    return True


class Meddler:
    """A worker like the one within; subclasses meddle with it."""

    def __init__(self, worker: FlowWorker, folder: Path) -> None:
        self._worker, self._folder = worker, folder

    def read(self, attempt: Attempt) -> PendingUnit:
        return self._worker.read(attempt)

    def compute(self, pending: PendingUnit) -> Computed:
        return self._worker.compute(pending)

    def commit(self, computed: Computed) -> Receipt:
        return self._worker.commit(computed)


class Unlucky(Meddler):
    """Is killed in the middle of writing a shard, and elsewhere gets a pre-emption's SIGTERM."""

    def compute(self, pending: PendingUnit) -> Computed:
        if pending.attempt.unit.id == 1 and once(self._folder / "terminated"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        return super().compute(pending)

    def commit(self, computed: Computed) -> Receipt:
        if computed.attempt.unit.id == 4 and once(self._folder / "killed"):
            with dying_in_a_shard():
                return super().commit(computed)
        return super().commit(computed)


class Unreliable(Meddler):
    """Writes to a store that often answers 503."""

    def commit(self, computed: Computed) -> Receipt:
        seed = computed.attempt.unit.id * 100 + computed.attempt.number
        with failing_at_random(0.1, seed):
            return super().commit(computed)


class Leisurely(Meddler):
    """Takes its time, so that things can happen meanwhile."""

    def compute(self, pending: PendingUnit) -> Computed:
        time.sleep(0.3)
        return super().compute(pending)


class Greedy(Meddler):
    """Needs gigabytes for one unit, once: more than ``limit`` in its folder, whatever others take.

    It holds them for a while, so that a busy machine has the time to stop it.
    """

    def compute(self, pending: PendingUnit) -> Computed:
        if pending.attempt.unit.id == 1 and once(self._folder / "greedy"):
            hoard, limit = [], int((self._folder / "limit").read_text())
            for _ in range(600):
                if _in_use() < limit + GREED:
                    hoard.append(np.ones(2**28, np.uint8))
                time.sleep(0.1)
            (self._folder / "sated").touch()
        return super().compute(pending)


def _in_use() -> int:
    """Return the bytes of memory that all processes have in use."""
    memory = psutil.virtual_memory()
    return memory.total - memory.available


MEDDLERS: dict[str, type[Meddler]] = {
    kind.__name__: kind for kind in (Unlucky, Unreliable, Leisurely, Greedy)
}


@contextmanager
def open_meddled(uri: str, threads: int, *, kind: str, folder: Path) -> Iterator[Meddler]:
    """Open a worker of one of the kinds above, which leave their flags in ``folder``."""
    with open_flows(uri, threads) as worker:
        yield MEDDLERS[kind](worker, folder)


@contextmanager
def open_with_a_deadly_decoder(uri: str, threads: int) -> Iterator[FlowWorker]:
    """Open a worker whose decoder segfaults at an image, in its children too."""
    break_decoder()
    sys.path.append(str(Path(__file__).parent / "segfault"))
    with open_flows(uri, threads) as worker:
        yield worker


@contextmanager
def open_nothing(uri: str, threads: int) -> Iterator[Any]:
    """Die before there is a worker."""
    os.kill(os.getpid(), signal.SIGKILL)
    yield None


def break_decoder() -> None:
    """Let decoding really segfault (in C, not by an exception) for one content."""
    from pipeline.images import load

    sound = load.decode

    def decode(data: bytes, *limits: Any) -> Any:
        if data == DEADLY:
            ctypes.string_at(0)
        return sound(data, *limits)

    load.decode = decode
