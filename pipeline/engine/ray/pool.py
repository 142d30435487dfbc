"""``RayEngine``: a pool of actors, each pinned to its GPU, that follows a cluster's nodes."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pipeline.config import ClusterConfig
from pipeline.engine.ray.autoscaler import Demand
from pipeline.engine.ray.nodes import connect, nodes, share_of
from pipeline.engine.ray.slots import Place, Slot
from pipeline.engine.scheduling.interface import Job, R
from pipeline.engine.scheduling.ledger import Ledger
from pipeline.engine.scheduling.setback import Setback, warn
from pipeline.errors import ConfigError, FlowatlasError, UnitFailed
from pipeline.store import Unit

_LOOK_SECONDS = 1.0
"""How often the pool looks which nodes there are."""

_FAILURES = 3
"""So many deaths or failed openings in a row mean that a slot cannot work at all."""


class RayEngine:
    """Computes on a Ray cluster, or on a Ray started on this machine.

    Each actor holds ``gpus_per_actor`` GPUs (Ray sets its ``CUDA_VISIBLE_DEVICES``) and
    ``cpus_per_actor`` CPUs, which is also its number of torch and reading threads. Actors follow
    the nodes: those that join get actors while a run is on, those that are lost cost nothing but
    the time of their units. The nodes that ``actors`` need and a cluster lacks are asked of its
    autoscaler (with ``auto``, one if there is none). A context manager: Ray is connected to while
    it is open.
    """

    def __init__(self, cluster: ClusterConfig) -> None:
        self._cluster = cluster
        self._slots: list[Slot] = []
        self._closed = Counter[str]()
        self._started = False

    def __enter__(self) -> "RayEngine":
        joined = ray.is_initialized()
        if not joined:
            joined = connect(self._cluster.address)
            self._started = True
        self._share = share_of(self._cluster)
        self._demand = Demand(self._share)
        if not joined:  # to a cluster, nodes may yet come
            self._check_room()
        return self

    def __exit__(self, *_: object) -> None:
        self._dismiss()
        self._leave()

    def _leave(self) -> None:
        if self._started:
            ray.shutdown()

    @property
    def threads(self) -> int:
        """CPU threads of each actor."""
        return self._share.cpus

    @property
    def workers(self) -> int:
        """How many actors there are, or would be now."""
        return len(self._slots) or min(self._most, self._room())

    @property
    def wanted(self) -> int:
        """How many actors the nodes should have room for."""
        return max(1, self._room()) if self._cluster.actors == "auto" else self._cluster.actors

    @property
    def _most(self) -> int:
        return sys.maxsize if self._cluster.actors == "auto" else self._cluster.actors

    def _room(self) -> int:
        return sum(map(self._share.fits, nodes().values()))

    def _check_room(self) -> None:
        room, wanted = self._room(), self.wanted
        if room < wanted:
            has, share = ray.cluster_resources(), self._share
            self._leave()
            raise ConfigError(
                f"this machine has {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs, room "
                f"for {room} actors of {share.cpus} CPUs and {share.gpus:g} GPUs, not {wanted}; "
                "lower cluster.actors, cluster.cpus_per_actor or cluster.gpus_per_actor"
            )

    def run(
        self,
        job: Job[R],
        units: Sequence[Unit],
        on_setback: Callable[[Setback], None] = warn,
    ) -> Iterator[R]:
        """Yield results as units finish; see :class:`Engine`.

        A death is charged to a unit only if nothing else was in the actor's hand; what was in hand
        together is tried again one by one, elsewhere if possible (see :class:`Ledger`).
        """
        ledger, looked, seen = Ledger(units, job.attempts, on_setback), 0.0, time.monotonic()
        try:
            while ledger or any(slot.in_hand for slot in self._slots):
                now = time.monotonic()
                if now - looked > _LOOK_SECONDS:
                    self._follow_nodes(job, ledger)
                    looked = now
                seen = now if self._slots else seen
                self._check_patience(now - seen)
                self._feed(ledger)
                yield from self._settle(job, ledger)
        finally:
            self._dismiss()

    def places(self) -> list[Place]:
        """Return where the actors are; waits for those that are just starting."""
        return [slot.place or ray.get(slot.opening) for slot in self._slots]

    def _follow_nodes(self, job: Job[Any], ledger: Ledger) -> None:
        """Let slots go whose node is lost; fill the room on the others, and ask for more."""
        alive = nodes()
        for lost in {slot.node for slot in self._slots} - alive.keys():
            self._forget(lost, ledger)
        filled = Counter(slot.node for slot in self._slots) + self._closed
        free = sorted(  # the emptiest nodes first
            (number, node)
            for node, resources in alive.items()
            for number in range(filled[node], self._share.fits(resources))
        )
        wanted = min(self._most - len(self._slots), len(ledger))
        for _, node in free[:wanted]:
            self._slots.append(Slot(node))
            self._slots[-1].hire(job, self._share)
        useful = min(self.wanted, len(self._slots) + len(ledger))
        self._demand.ask(max(0, useful - self._room()))

    def _check_patience(self, waited: float) -> None:
        if waited > self._cluster.patience:
            raise UnitFailed(
                f"for {waited:.0f} s there was no node with room for an actor of "
                f"{self._share.cpus} CPUs and {self._share.gpus:g} GPUs; what is done is kept, run "
                "the same command again when there is one"
            )

    def _feed(self, ledger: Ledger) -> None:
        """Give units to whoever has a hand free, the emptiest first.

        The last units are left to those with fewer, should they be just starting.
        """
        ready = [slot for slot in self._slots if slot.ready]
        while ready and ledger:
            slot = min(ready, key=lambda one: len(one.in_hand))
            fewer = sum(len(other.in_hand) < len(slot.in_hand) for other in self._slots)
            if len(ledger) <= fewer:
                return
            attempt = ledger.next(idle=not slot.in_hand, avoid=self._avoid(slot))
            if attempt is not None:
                slot.give(attempt)
            if attempt is None or not slot.ready:
                ready.remove(slot)

    def _avoid(self, slot: Slot) -> set[int]:
        """Return the units another slot should try, because an actor died with them here."""
        others = [other.died_with for other in self._slots if other is not slot]
        return {unit for unit in slot.died_with if any(unit not in died for died in others)}

    def _settle(self, job: Job[R], ledger: Ledger) -> Iterator[R]:
        """Wait a little for answers and deal with one of them."""
        calls = {call: slot for slot in self._slots for call in slot.calls}
        if not calls:
            time.sleep(_LOOK_SECONDS)
            return
        done, _ = ray.wait(list(calls), num_returns=1, timeout=_LOOK_SECONDS)
        for call in done:
            slot = calls[call]
            try:
                answer = ray.get(call)
            except RayTaskError as error:
                cause = error.cause if isinstance(error.cause, BaseException) else error
                if cause is not error:
                    cause.__cause__ = error  # which has the traceback of the actor
                if call == slot.opening:
                    self._bury(slot, job, ledger, cause)
                else:
                    ledger.failed(slot.in_hand.pop(call), cause)
            except RayError as death:
                self._bury(slot, job, ledger, death)
            else:
                if call == slot.opening:
                    slot.opening, slot.place = None, answer
                    continue
                slot.died_with.discard(slot.in_hand.pop(call).unit.id)
                slot.failures = 0
                yield answer

    def _bury(self, slot: Slot, job: Job[Any], ledger: Ledger, cause: BaseException) -> None:
        """Replace an actor that died or could not be opened, or close its slot."""
        if isinstance(cause, FlowatlasError):
            raise cause
        if slot.node not in nodes():
            self._forget(slot.node, ledger)
            return
        opening, held = slot.opening is not None, slot.dismiss()
        slot.failures += 1
        slot.died_with.update(attempt.unit.id for attempt in held)
        ledger.died(held, cause, slot.node)
        last = len(self._slots) == 1
        if slot.failures < _FAILURES or (last and not opening):
            slot.hire(job, self._share)
        elif last:
            raise UnitFailed(
                f"{slot.failures} workers could not be started one after the other, last with "
                f"{type(cause).__name__}: {cause}"
            ) from cause
        else:
            self._slots.remove(slot)
            self._closed[slot.node] += 1

    def _forget(self, node: str, ledger: Ledger) -> None:
        """Forget the slots of a node that is lost; its units cost nobody an attempt."""
        lost = [slot for slot in self._slots if slot.node == node]
        self._slots = [slot for slot in self._slots if slot.node != node]
        ledger.give_back([attempt for slot in lost for attempt in slot.dismiss()], node)

    def _dismiss(self) -> None:
        self._demand.ask(0)
        for slot in self._slots:
            slot.dismiss()
        self._slots = []
