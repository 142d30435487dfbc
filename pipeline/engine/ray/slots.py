"""Actors, and the slots in which they follow one another."""

import logging
import os
import platform
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.engine.ray.metrics import ActorMetrics
from pipeline.engine.ray.nodes import Share
from pipeline.engine.scheduling.interface import Attempt, Job

IN_HAND = 3
"""Units an actor holds: one is committed, one computed, and of one the first images are read."""

_COMPUTED = 2
"""Of these, how many may hold maps: the one being computed must not run away from its commit."""


@dataclass(frozen=True)
class Place:
    """Where an actor runs: host, process, the GPUs it can see, its CPU threads."""

    node: str
    pid: int
    gpus: str
    threads: int


class _Actor:
    """A process with an open worker. Ray calls ``process`` from up to ``IN_HAND`` threads.

    What opens and computes is always the same thread: a model's hooks and PyTorch's modes belong
    to one. The worker is opened by a call, not by the constructor: what goes wrong then reaches
    the driver as the error it is, not as the death of an actor.
    """

    def __init__(self, job: Job[Any], threads: int, level: int = logging.WARNING) -> None:
        logging.getLogger("pipeline").setLevel(level)
        if level < logging.WARNING:  # to standard error, which Ray shows at the driver
            logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        self._job, self._threads = job, threads
        self._stack = ExitStack()
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._committing = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._room = threading.Semaphore(_COMPUTED)
        self._metrics = ActorMetrics(job.uri)

    def open(self) -> Place:
        self._worker = self._computing.submit(self._open).result()
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return Place(platform.node(), os.getpid(), gpus, self._threads)

    def _open(self) -> Any:
        return self._stack.enter_context(self._job.opener(self._job.uri, self._threads))

    def process(self, attempt: Attempt) -> Any:
        with self._metrics.step("read"):
            reading = self._worker.read(attempt)
            self._room.acquire()
        try:
            with self._metrics.step("compute"):
                computed = self._computing.submit(self._worker.compute, reading).result()
            with self._metrics.step("commit"):
                result = self._committing.submit(self._worker.commit, computed).result()
        finally:
            self._room.release()
        self._metrics.finished(result)
        return result


@dataclass
class Slot:
    """A place for one actor on one node: its present actor and what that has in hand.

    ``opening`` is the call that opens the present actor's worker, None once it has answered;
    ``failures`` counts deaths and failed openings since a unit was last finished here;
    ``died_with`` are the units that were in hand at deaths here.
    """

    node: str
    actor: Any = None
    opening: Any = None
    place: Place | None = None
    in_hand: dict[Any, Attempt] = field(default_factory=dict)
    failures: int = 0
    died_with: set[int] = field(default_factory=set)

    def hire(self, job: Job[Any], share: Share) -> None:
        """Put a new actor here."""
        options = {
            "num_cpus": share.cpus,
            "num_gpus": share.gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": IN_HAND,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(self.node, soft=False),
        }
        level = logging.getLogger("pipeline").getEffectiveLevel()
        self.actor = ray.remote(_Actor).options(**options).remote(job, share.cpus, level)
        self.opening, self.place = self.actor.open.remote(), None

    @property
    def ready(self) -> bool:
        """Whether the actor can be given another unit."""
        held = self.in_hand.values()
        return (
            self.opening is None
            and len(held) < IN_HAND
            and not any(attempt.alone for attempt in held)
        )

    def give(self, attempt: Attempt) -> None:
        """Hand a unit to the actor."""
        self.in_hand[self.actor.process.remote(attempt)] = attempt

    @property
    def calls(self) -> list[Any]:
        """The calls that have not been answered."""
        return [self.opening] if self.opening is not None else list(self.in_hand)

    def dismiss(self) -> Sequence[Attempt]:
        """Kill the actor and return what it had in hand, the oldest first."""
        if self.actor is not None:
            ray.kill(self.actor)
        held = list(self.in_hand.values())
        self.actor = self.opening = None
        self.in_hand.clear()
        return held
