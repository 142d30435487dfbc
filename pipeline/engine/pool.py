"""``RayEngine``: a pool of actors, each pinned to its GPU. The only file that imports ray."""

import os
import platform
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from pipeline.config import ClusterConfig
from pipeline.engine.context import Context, open_context
from pipeline.engine.engine import Job, give_up
from pipeline.engine.unit import process_unit
from pipeline.errors import ConfigError, FlowatlasError, UnitFailed
from pipeline.store import Receipt, Unit

_IN_FLIGHT = 2
"""Units handed to an actor: one that runs and one that waits, so that it never idles."""

_OBJECT_STORE_BYTES = 100 * 2**20
"""Only descriptors and receipts travel; Ray would take 30 % of the memory by default."""

_CPUS_BESIDE_GPU = 4
_FRUITLESS_DEATHS = 3
"""So many deaths of a slot's actors without a finished unit mean that it cannot work at all."""


class _FlowActor:
    """A worker: one model on one device for as long as the actor lives.

    The model is loaded with the first unit, not in the constructor: what goes wrong then reaches
    the driver as the error it is, not as the death of an actor.
    """

    def __init__(self, uri: str, threads: int) -> None:
        self._uri, self._threads = uri, threads
        self._stack = ExitStack()

    @cached_property
    def _context(self) -> Context:
        return self._stack.enter_context(open_context(self._uri, threads=self._threads))

    def process(self, unit: Unit, attempt: int) -> Receipt:
        return process_unit(unit, self._context, attempt)

    def place(self) -> "Place":
        return Place(
            node=platform.node(),
            pid=os.getpid(),
            gpus=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            threads=self._context.threads,
            device=str(self._context.device),
        )


@dataclass(frozen=True)
class Place:
    """Where an actor runs: host, process, the GPUs it can see, its CPU threads, its device."""

    node: str
    pid: int
    gpus: str
    threads: int
    device: str


@dataclass
class _Slot:
    """One place in the pool: its present actor and what it was given, the oldest first."""

    actor: Any
    given: deque[tuple[Any, Unit]] = field(default_factory=deque)
    fruitless_deaths: int = 0


class RayEngine:
    """Computes on a Ray cluster, or on a Ray started on this machine.

    Each actor holds ``gpus_per_actor`` GPUs (Ray sets its ``CUDA_VISIBLE_DEVICES``) and
    ``cpus_per_actor`` CPUs, which is also its number of torch and decoding threads. A context
    manager: Ray is connected to while it is open.
    """

    def __init__(self, cluster: ClusterConfig) -> None:
        self._cluster = cluster
        self._slots: list[_Slot] = []
        self._started = False
        self.workers = 0

    def __enter__(self) -> "RayEngine":
        if not ray.is_initialized():
            _connect(self._cluster.address)
            self._started = True
        self._size()
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots:
            ray.kill(slot.actor)
        self._slots = []
        if self._started:
            ray.shutdown()

    def _size(self) -> None:
        """Settle how many actors there are and what each of them holds."""
        has = ray.cluster_resources()
        asked = self._cluster
        self._gpus = (
            float(has.get("GPU", 0) > 0) if asked.gpus_per_actor == "auto" else asked.gpus_per_actor
        )
        self._cpus = (
            (_CPUS_BESIDE_GPU if self._gpus else 1)
            if asked.cpus_per_actor == "auto"
            else asked.cpus_per_actor
        )
        room = int(has.get("CPU", 0) / self._cpus)
        if self._gpus:
            room = min(room, int(has.get("GPU", 0) / self._gpus))
        wanted = max(1, room) if asked.actors == "auto" else asked.actors
        if room < wanted:
            raise ConfigError(
                f"the cluster has {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs, room "
                f"for {room} actors of {self._cpus} CPUs and {self._gpus:g} GPUs, not {wanted}; "
                "lower cluster.actors, cluster.cpus_per_actor or cluster.gpus_per_actor"
            )
        self.workers = wanted

    def run(self, job: Job, units: Sequence[Unit]) -> Iterator[Receipt]:
        """Yield receipts as units finish; see :class:`Engine`.

        When an actor dies, only the unit it was running is charged with an attempt; the one that
        waited behind it goes back to the front.
        """
        todo, attempts = deque(units), Counter[int]()
        self._slots = [_Slot(self._hire(job)) for _ in range(min(self.workers, max(1, len(units))))]
        while todo or any(slot.given for slot in self._slots):
            for slot in self._slots:
                self._feed(slot, todo, attempts)
            running = {slot.given[0][0]: slot for slot in self._slots if slot.given}
            done, _ = ray.wait(list(running), num_returns=1)
            slot = running[done[0]]
            reference, unit = slot.given.popleft()
            try:
                receipt = ray.get(reference)
            except RayActorError as death:
                self._bury(slot, job, unit, death, todo, attempts)
            except RayTaskError as error:
                cause = error.cause if isinstance(error.cause, BaseException) else error
                self._charge(job, unit, cause, todo, attempts)
            except RayError as error:
                self._charge(job, unit, error, todo, attempts)
            else:
                slot.fruitless_deaths = 0
                yield receipt

    def places(self) -> list[Place]:
        """Return where the actors of the present run are."""
        return list(ray.get([slot.actor.place.remote() for slot in self._slots]))

    def _hire(self, job: Job) -> Any:
        actor = ray.remote(_FlowActor).options(
            num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0, max_task_retries=0
        )
        return actor.remote(job.uri, self._cpus)

    def _feed(self, slot: _Slot, todo: deque[Unit], attempts: Counter[int]) -> None:
        while todo and len(slot.given) < _IN_FLIGHT:
            unit = todo.popleft()
            slot.given.append((slot.actor.process.remote(unit, attempts[unit.id] + 1), unit))

    def _bury(
        self,
        slot: _Slot,
        job: Job,
        unit: Unit,
        death: RayActorError,
        todo: deque[Unit],
        attempts: Counter[int],
    ) -> None:
        """Replace a dead actor; give what waited behind the running unit back."""
        todo.extendleft(waiting for _, waiting in reversed(slot.given))
        slot.given.clear()
        slot.fruitless_deaths += 1
        if slot.fruitless_deaths >= _FRUITLESS_DEATHS:
            raise UnitFailed(
                f"{slot.fruitless_deaths} workers died one after the other without finishing a "
                f"unit, last with: {death}"
            ) from death
        self._charge(job, unit, death, todo, attempts)
        slot.actor = self._hire(job)

    def _charge(
        self,
        job: Job,
        unit: Unit,
        cause: BaseException,
        todo: deque[Unit],
        attempts: Counter[int],
    ) -> None:
        """Count a failed attempt of a unit and put it first in line again, or give up."""
        if isinstance(cause, FlowatlasError):
            raise cause
        attempts[unit.id] += 1
        if attempts[unit.id] >= job.attempts:
            raise give_up(unit, attempts[unit.id], cause) from cause
        todo.appendleft(unit)


def _connect(address: str | None) -> None:
    """Join the cluster at ``address`` (or of the surrounding Ray job), else start Ray here."""
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, log_to_driver=True)
        return
    ray.init(
        address="local",
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        logging_level="error",
        log_to_driver=True,
    )
