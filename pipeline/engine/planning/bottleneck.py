"""``Pace``: where a run spends its time, and how to make it faster."""

import math
from collections import defaultdict

from pipeline.nouns import agreeing, part_of
from pipeline.store import Receipt

_READING = ("fetch", "decode", "transform")
_COMPUTING = ("compute", "measure")

_LAUNCHED = 0.9
"""Share of a step that the host needs to call the GPU, from which the GPU waits for the calls."""

_CALLED = 0.5
"""Share of a step that its calls take however few images it has, from which they bind a CPU."""

_MOST_THREADS = 64


class Pace:
    """Adds up the stages of receipts; see :class:`pipeline.engine.worker.FlowWorker` for them.

    Parameters
    ----------
    threads : int
        CPUs of each worker.
    room : int
        How many more workers there is room for.
    cpus : int
        The most CPUs that a worker may have; 0 where that is not known.
    """

    def __init__(self, threads: int, room: int = 0, cpus: int = 0) -> None:
        self._threads, self._room = threads, room
        self._most = min(cpus, _MOST_THREADS) if cpus else _MOST_THREADS
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, receipt: Receipt) -> None:
        """Add the seconds of a receipt of this run."""
        for stage, seconds in receipt.seconds.items():
            self._seconds[stage] += seconds

    @property
    def sentence(self) -> str:
        """The bottleneck, its share of the computing threads' time, and what to do about it."""
        spent = self._seconds
        compute = sum(spent[stage] for stage in _COMPUTING)
        shares = {name: spent[name] for name in ("wait", "store", "memory")} | {"compute": compute}
        total = sum(shares.values())
        if not total:
            return "no time was spent"
        most = max(shares, key=lambda name: shares[name])
        share = f"{shares[most] / total:.0%} of time"
        if most == "wait":
            stage = max(_READING, key=lambda name: spent[name])
            return (
                f"{stage}-bound: {share} waiting for images; "
                f"{self._more_readers(total - spent['wait'])}"
            )
        if most == "store":
            return f"commit-bound: {share} waiting for the store; use a faster one, or fewer actors"
        if most == "memory":
            return (
                f"memory-bound: {share} in batches that did not fit into the GPU's memory; "
                "fewer actors on a GPU (cluster.gpus_per_actor) leave more to each"
            )
        stage = max(_COMPUTING, key=lambda name: spent[name])
        waiting = f"{spent['wait'] / total:.0%} waiting for images"
        if spent["launch"] >= _LAUNCHED * spent["device"] > 0:
            return (
                f"launch-bound: {share} computing, most of it by calls that the GPU waits for, "
                f"{waiting}; several actors on a GPU (cluster.gpus_per_actor), or larger batches "
                "in a new run, make it faster"
            )
        if spent["calls"] >= _CALLED * compute > 0:
            return (
                f"overhead-bound: {share} computing, {spent['calls'] / compute:.0%} of it calls "
                f"that take as long for fewer images, {waiting}; larger batches in a new run "
                f"(flow.batch_size) make it faster, or {self._more_workers}"
            )
        busy = 1 - spent["launch"] / spent["device"] if spent["device"] else 0.0
        device = f", the GPU busy for at least {busy:.0%} of the flow" if busy > 0 else ""
        return (
            f"{stage}-bound: {spent[stage] / total:.0%} of time in {stage}{device}, {waiting}; "
            f"{self._more_workers}"
        )

    @property
    def _more_workers(self) -> str:
        if self._room:
            return f"more actors make it faster: there is room for {self._room}"
        return "there is no room for more actors: more nodes, or faster ones, make it faster"

    def _more_readers(self, busy: float) -> str:
        if self._threads < self._most:
            return f"raise cluster.cpus_per_actor to {self._enough(busy)}"
        return (
            f"{part_of(self._threads, self._threads, 'CPU')} "
            f"{agreeing(self._threads, 'reads', 'read')} already: a machine with more makes it "
            "faster"
        )

    def _enough(self, busy: float) -> int:
        """Return the threads that would read images as fast as they are computed."""
        reading = sum(self._seconds[stage] for stage in _READING)
        wanted = math.ceil(reading / busy) if busy else self._most
        return min(max(wanted, self._threads + 1), self._most)
