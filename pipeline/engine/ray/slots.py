"""Actors, and the slots in which they run and are replaced."""

import logging
import os
import platform
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.engine.ray.metrics import ActorMetrics
from pipeline.engine.scheduling.interface import Attempt, Job
from pipeline.engine.scheduling.share import Share

UNITS_PER_ACTOR = 3
"""Units in progress on an actor: one being committed, one computed, one read."""

_UNITS_WITH_MAPS = 2
"""How many of these may hold maps: computing must not outrun committing."""


@dataclass(frozen=True)
class Place:
    """Where an actor runs: host, process, the GPUs it can see, its CPU threads."""

    node: str
    pid: int
    gpus: str
    threads: int


class _Actor:
    """A process with an open worker. Ray calls ``process`` from up to ``UNITS_PER_ACTOR`` threads.

    The worker is opened and used in one thread, because a model's hooks and PyTorch's modes are per
    thread. It is opened by a call, not by the constructor, so that an error reaches the driver as
    itself and not as the death of an actor, and so that the process, which has imported everything,
    can open a worker for the next job.
    """

    def __init__(
        self, threads: int, level: int = logging.WARNING, imports: Sequence[str] = ()
    ) -> None:
        logging.getLogger("pipeline").setLevel(level)
        if level < logging.WARNING:  # to standard error, which Ray forwards to the driver
            logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        for module in imports:
            with suppress(Exception):  # the worker fails to open then, and says why
                import_module(module)
        self._threads, self._stack = threads, ExitStack()
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._committing = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._room = threading.Semaphore(_UNITS_WITH_MAPS)

    def open(self, job: Job[Any]) -> Place:
        self._metrics = ActorMetrics(job.uri)
        self._worker = self._computing.submit(self._open, job).result()
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return Place(platform.node(), os.getpid(), gpus, self._threads)

    def _open(self, job: Job[Any]) -> Any:
        self._stack.close()  # of the job before
        return self._stack.enter_context(job.opener(job.uri, self._threads))

    def process(self, attempt: Attempt) -> Any:
        with self._metrics.step("read"):
            pending = self._worker.read(attempt)
            self._room.acquire()
        try:
            with self._metrics.step("compute"):
                computed = self._computing.submit(self._worker.compute, pending).result()
            with self._metrics.step("commit"):
                result = self._committing.submit(self._worker.commit, computed).result()
        finally:
            self._room.release()
        self._metrics.finished(result)
        return result


@dataclass
class Slot:
    """A place for one actor on one node: the current actor and its units in progress.

    ``opening`` is the call that opens the current actor's worker, None once it has returned;
    ``failures`` counts deaths and failed openings since a unit was last finished here;
    ``suspects`` are the ids of the units that were in progress when an actor died here.
    """

    node: str
    actor: Any = None
    opening: Any = None
    place: Place | None = None
    in_progress: dict[Any, Attempt] = field(default_factory=dict)
    failures: int = 0
    suspects: set[int] = field(default_factory=set)

    def start_actor(self, share: Share, imports: Sequence[str] = ()) -> None:
        """Start a new actor in this slot, which imports modules and waits for a job."""
        options = {
            "num_cpus": share.cpus,
            "num_gpus": share.gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": UNITS_PER_ACTOR,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(self.node, soft=False),
        }
        level = logging.getLogger("pipeline").getEffectiveLevel()
        self.actor = ray.remote(_Actor).options(**options).remote(share.cpus, level, imports)

    def open(self, job: Job[Any]) -> None:
        """Open a worker in the slot's actor, which has no unit in progress."""
        self.opening, self.place = self.actor.open.remote(job), None

    @property
    def ready(self) -> bool:
        """Whether the actor can take another unit."""
        held = self.in_progress.values()
        return (
            self.opening is None
            and len(held) < UNITS_PER_ACTOR
            and not any(attempt.alone for attempt in held)
        )

    def submit(self, attempt: Attempt) -> None:
        """Send a unit to the actor."""
        self.in_progress[self.actor.process.remote(attempt)] = attempt

    @property
    def calls(self) -> list[Any]:
        """The calls that have not returned."""
        return [self.opening] if self.opening is not None else list(self.in_progress)

    def close(self) -> Sequence[Attempt]:
        """Kill the actor and return its attempts in progress, the oldest first."""
        if self.actor is not None:
            ray.kill(self.actor)
        held = list(self.in_progress.values())
        self.actor = self.opening = None
        self.in_progress.clear()
        return held
