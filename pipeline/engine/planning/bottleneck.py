"""``Pace``: where a run spends its time, and how to make it faster."""

import math
from collections import defaultdict

from pipeline.store import Receipt

_READING = ("fetch", "decode", "transform")

_MOST_THREADS = 64


class Pace:
    """Adds up the stages of receipts; see :class:`pipeline.engine.worker.FlowWorker` for them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, receipt: Receipt) -> None:
        """Add the seconds of a receipt of this run."""
        for stage, seconds in receipt.seconds.items():
            self._seconds[stage] += seconds

    @property
    def sentence(self) -> str:
        """The bottleneck, its share of the workers' time, and what to do about it."""
        spent = self._seconds
        compute = spent["compute"] + spent["measure"] + spent["assemble"]
        total = spent["wait"] + compute + spent["queue"]
        if not total:
            return "no time was spent"
        if spent["wait"] >= max(compute, spent["queue"]):
            stage = max(_READING, key=lambda name: spent[name])
            return (
                f"{stage}-bound: {spent['wait'] / total:.0%} of time waiting for images; "
                f"raise cluster.cpus_per_actor to {self._enough(total - spent['wait'])}"
            )
        if spent["queue"] >= compute:
            return (
                f"commit-bound: {spent['queue'] / total:.0%} of time waiting for the store; "
                "use a faster one, or fewer actors"
            )
        stage = max(("compute", "measure", "assemble"), key=lambda name: spent[name])
        return (
            f"{stage}-bound: {spent[stage] / total:.0%} of time in {stage}, "
            f"{spent['wait'] / total:.0%} waiting for images; more actors make it faster"
        )

    def _enough(self, busy: float) -> int:
        """Return the threads that would read images as fast as they are computed."""
        reading = sum(self._seconds[stage] for stage in _READING)
        wanted = math.ceil(reading / busy) if busy else _MOST_THREADS
        return min(max(wanted, self._threads + 1), _MOST_THREADS)
