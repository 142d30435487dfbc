"""``RayEngine``: a pool of actors, each pinned to its GPU, that adapts to a cluster's nodes."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.config import ClusterConfig
from pipeline.engine.ray.autoscaler import Demand
from pipeline.engine.ray.nodes import connect, nodes
from pipeline.engine.ray.slots import Place, Slot
from pipeline.engine.scheduling.failure import Failure, warn
from pipeline.engine.scheduling.interface import Job, R
from pipeline.engine.scheduling.ledger import Ledger
from pipeline.engine.scheduling.share import share_of
from pipeline.errors import ConfigError, FlowatlasError, UnitFailed
from pipeline.nouns import counted
from pipeline.store import Unit

_POLL_SECONDS = 1.0
"""How often the pool lists the cluster's nodes."""

_MOST_AHEAD = 8
"""Actors started ahead of their job: enough for a first image soon, and few if none comes."""

_MAX_FAILURES = 3
"""After this many deaths or failed openings in a row, a slot is closed."""


class RayEngine:
    """Computes on a Ray cluster, or on Ray started on this machine.

    Each actor holds ``gpus_per_actor`` GPUs (Ray sets its ``CUDA_VISIBLE_DEVICES``) and
    ``cpus_per_actor`` CPUs, which is also its number of torch and reading threads. Nodes
    that join during a run get actors; a lost node costs only the time spent on its units. If
    ``actors`` need more nodes than the cluster has, its autoscaler is asked for them (with
    ``auto``, for one node if there is none). A context manager, connected to Ray while open: for
    as long, actors that have finished a job wait for the next one.

    Where Ray is started here, the first actors start with it and import ``imports``, so that they
    are ready when there is a job.
    """

    def __init__(self, cluster: ClusterConfig, imports: Sequence[str] = ()) -> None:
        self._cluster, self._imports = cluster, imports
        self._slots: list[Slot] = []
        self._closed = Counter[str]()
        self._started = self._used = False

    def __enter__(self) -> "RayEngine":
        joined = ray.is_initialized()
        if not joined:
            joined = connect(self._cluster.address)
            self._started = True
        self._share = share_of(self._cluster, ray.cluster_resources())
        self._demand = Demand(self._share)
        if not joined:  # more nodes may still join a cluster
            self._check_room()
            self._start_ahead()
        return self

    def __exit__(self, *_: object) -> None:
        self._close_slots()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._started:
            ray.shutdown()

    @property
    def threads(self) -> int:
        """CPU threads of each actor."""
        return self._share.cpus

    @property
    def workers(self) -> int:
        """How many actors there are, or would be if the run started now."""
        return (len(self._slots) if self._used else 0) or min(self._most, self._room())

    @property
    def wanted(self) -> int:
        """How many actors the nodes should have room for."""
        return max(1, self._room()) if self._cluster.actors == "auto" else self._cluster.actors

    @property
    def room(self) -> int:
        """How many more actors the nodes have room for."""
        return max(0, self._room() - self.workers)

    @property
    def cpus(self) -> int:
        """The CPUs of the largest node."""
        return max((int(has.get("CPU", 0)) for has in nodes().values()), default=0)

    @property
    def _most(self) -> int:
        return sys.maxsize if self._cluster.actors == "auto" else self._cluster.actors

    def _room(self) -> int:
        return sum(map(self._share.fits, nodes().values()))

    def _start_ahead(self) -> None:
        """Start the first actors, which wait for a job."""
        if self._imports:
            here = next(iter(nodes()))
            self._slots = [Slot(here) for _ in range(min(self._most, self._room(), _MOST_AHEAD))]
            for slot in self._slots:
                slot.start_actor(self._share, self._imports)

    def _check_room(self) -> None:
        room, wanted = self._room(), self.wanted
        if room < wanted:
            has, share = ray.cluster_resources(), self._share
            self._disconnect()
            raise ConfigError(
                f"this machine has {counted(has.get('CPU', 0), 'CPU')} and "
                f"{counted(has.get('GPU', 0), 'GPU')}, room for {counted(room, 'actor')} of "
                f"{counted(share.cpus, 'CPU')} and "
                f"{counted(share.gpus, 'GPU')}, not {wanted}; "
                "lower cluster.actors, cluster.cpus_per_actor or cluster.gpus_per_actor"
            )

    def run(
        self,
        job: Job[R],
        units: Sequence[Unit],
        on_failure: Callable[[Failure], None] = warn,
    ) -> Iterator[R]:
        """Yield results as units finish; see :class:`Engine`.

        A death is charged to a unit only if the actor had no other unit in progress; several units
        are tried again one by one, on another slot if possible (see :class:`Ledger`).
        """
        ledger = Ledger(units, job.attempts, on_failure)
        last_poll, last_actor = 0.0, time.monotonic()
        self._reopen(job, len(units))
        try:
            while ledger or any(slot.in_progress for slot in self._slots):
                now = time.monotonic()
                if now - last_poll > _POLL_SECONDS:
                    self._follow_nodes(job, ledger)
                    last_poll = now
                last_actor = now if self._slots else last_actor
                self._check_wait(now - last_actor)
                self._assign_units(ledger)
                yield from self._handle_results(job, ledger)
        except BaseException:  # GeneratorExit, too: units may be in progress
            self._close_slots()
            raise
        self._demand.request(0)

    def _reopen(self, job: Job[Any], units: int) -> None:
        """Open workers in the actors that wait for a job; end those that are too many."""
        self._used = True
        for slot in self._slots[units:]:
            slot.close()
        self._slots = self._slots[:units]
        for slot in self._slots:
            slot.failures = 0
            slot.suspects.clear()
            slot.open(job)

    def places(self) -> list[Place]:
        """Return where the actors run; waits for those that are still starting."""
        return [slot.place or ray.get(slot.opening) for slot in self._slots]

    def _follow_nodes(self, job: Job[Any], ledger: Ledger) -> None:
        """Drop the slots of lost nodes, open slots on the others, and request missing nodes."""
        alive = nodes()
        for lost in {slot.node for slot in self._slots} - alive.keys():
            self._drop_node(lost, ledger)
        filled = Counter(slot.node for slot in self._slots) + self._closed
        free = sorted(  # nodes with the fewest slots first
            (number, node)
            for node, resources in alive.items()
            for number in range(filled[node], self._share.fits(resources))
        )
        idle = sum(not slot.in_progress for slot in self._slots)  # or opening
        wanted = max(0, min(self._most - len(self._slots), len(ledger) - idle))
        for _, node in free[:wanted]:
            self._slots.append(Slot(node))
            self._slots[-1].start_actor(self._share)
            self._slots[-1].open(job)
        useful = min(self.wanted, len(self._slots) + len(ledger))
        self._demand.request(max(0, useful - self._room()))

    def _check_wait(self, waited: float) -> None:
        if waited > self._cluster.patience:
            raise UnitFailed(
                f"for {waited:.0f} s there was no node with room for an actor of "
                f"{counted(self._share.cpus, 'CPU')} and {counted(self._share.gpus, 'GPU')}; "
                "finished units are kept, "
                "run the same command again when there is one"
            )

    def _assign_units(self, ledger: Ledger) -> None:
        """Give units to the slots that can take one, those with the fewest units first.

        The last units are left to slots that hold fewer, even if these are still starting.
        """
        ready = [slot for slot in self._slots if slot.ready]
        while ready and ledger:
            slot = min(ready, key=lambda one: len(one.in_progress))
            fewer = sum(len(other.in_progress) < len(slot.in_progress) for other in self._slots)
            if len(ledger) <= fewer:
                return
            attempt = ledger.next(idle=not slot.in_progress, avoid=self._avoid(slot))
            if attempt is not None:
                slot.submit(attempt)
            if attempt is None or not slot.ready:
                ready.remove(slot)

    def _avoid(self, slot: Slot) -> set[int]:
        """Return the units that another slot should try, because an actor died with them here."""
        others = [other.suspects for other in self._slots if other is not slot]
        return {unit for unit in slot.suspects if any(unit not in suspects for suspects in others)}

    def _handle_results(self, job: Job[R], ledger: Ledger) -> Iterator[R]:
        """Wait briefly for a call to return; handle its result or error."""
        calls = {call: slot for slot in self._slots for call in slot.calls}
        if not calls:
            time.sleep(_POLL_SECONDS)
            return
        done, _ = ray.wait(list(calls), num_returns=1, timeout=_POLL_SECONDS)
        for call in done:
            slot = calls[call]
            try:
                result = ray.get(call)
            except RayTaskError as error:
                cause = error.cause if isinstance(error.cause, BaseException) else error
                if cause is not error:
                    cause.__cause__ = error  # it holds the actor's traceback
                if call == slot.opening:
                    self._replace(slot, job, ledger, cause)
                else:
                    ledger.failed(slot.in_progress.pop(call), cause)
            except RayError as death:
                self._replace(slot, job, ledger, death)
            else:
                if call == slot.opening:
                    slot.opening, slot.place = None, result
                    continue
                slot.suspects.discard(slot.in_progress.pop(call).unit.id)
                slot.failures = 0
                yield result

    def _replace(self, slot: Slot, job: Job[Any], ledger: Ledger, cause: BaseException) -> None:
        """Replace an actor that died or could not be opened, or close its slot."""
        if isinstance(cause, FlowatlasError):
            raise cause
        if slot.node not in nodes():
            self._drop_node(slot.node, ledger)
            return
        opening, held = slot.opening is not None, slot.close()
        slot.failures += 1
        slot.suspects.update(attempt.unit.id for attempt in held)
        ledger.died(held, cause, slot.node)
        last = len(self._slots) == 1
        if slot.failures < _MAX_FAILURES or (last and not opening):
            slot.start_actor(self._share)
            slot.open(job)
        elif last:
            raise UnitFailed(
                f"{counted(slot.failures, 'worker')} in a row could not be started; the last "
                "error was "
                f"{type(cause).__name__}: {cause}"
            ) from cause
        else:
            self._slots.remove(slot)
            self._closed[slot.node] += 1

    def _drop_node(self, node: str, ledger: Ledger) -> None:
        """Remove the slots of a lost node; this does not count as an attempt of its units."""
        lost = [slot for slot in self._slots if slot.node == node]
        self._slots = [slot for slot in self._slots if slot.node != node]
        ledger.requeue([attempt for slot in lost for attempt in slot.close()], node)

    def _close_slots(self) -> None:
        self._demand.request(0)
        for slot in self._slots:
            slot.close()
        self._slots = []
