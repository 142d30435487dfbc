"""An actor's metrics for Prometheus; Ray's agent exports them with the prefix ``ray_``."""

import os
import platform
import time
from collections import Counter as Depths
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.util.metrics import Counter, Gauge, Metric

from pipeline.store import Receipt

METRICS: dict[str, tuple[type[Metric], str, tuple[str, ...]]] = {
    "flowatlas_images_total": (Counter, "Images committed, by status", ("status",)),
    "flowatlas_units_total": (Counter, "Units committed", ()),
    "flowatlas_stored_bytes_total": (Counter, "Bytes committed", ()),
    "flowatlas_stage_seconds_total": (Counter, "Seconds of units, by stage", ("stage",)),
    "flowatlas_images_per_second": (Gauge, "Rate of an actor over its last unit", ("worker",)),
    "flowatlas_device_busy": (Gauge, "Share of time in the model and its measures", ("worker",)),
    "flowatlas_units_in_hand": (Gauge, "Units of an actor, by step", ("worker", "step")),
    "flowatlas_peak_memory_bytes": (Gauge, "The most an actor has held", ("worker",)),
}
"""Name → kind, description, tags; all have the tag ``run``."""

_BUSY = ("compute", "measure")


class ActorMetrics:
    """The metrics of one actor; ``run`` is the URI of the run it works on."""

    def __init__(self, run: str) -> None:
        self._run, self._worker = run, f"{platform.node()}:{os.getpid()}"
        self._metrics: dict[str, Any] = {
            name: kind(name, description, ("run", *tags))
            for name, (kind, description, tags) in METRICS.items()
        }
        self._depths = Depths[str]()
        self._since = time.perf_counter()

    @contextmanager
    def step(self, step: str) -> Iterator[None]:
        """Count a unit as being at ``step``, or waiting for the next one, during the block."""
        self._move(step, +1)
        try:
            yield
        finally:
            self._move(step, -1)

    def finished(self, result: object) -> None:
        """Count a committed unit; a result that is not a receipt is ignored."""
        if not isinstance(result, Receipt):
            return
        now = time.perf_counter()
        wall, self._since = max(now - self._since, 1e-9), now
        self._add("flowatlas_units_total", 1)
        self._add("flowatlas_images_total", result.ok, status="ok")
        self._add("flowatlas_images_total", result.quarantined, status="quarantined")
        self._add("flowatlas_stored_bytes_total", sum(item.size for item in result.objects))
        for stage, seconds in result.seconds.items():
            self._add("flowatlas_stage_seconds_total", seconds, stage=stage)
        busy = sum(result.seconds.get(stage, 0.0) for stage in _BUSY)
        self._set("flowatlas_images_per_second", (result.hi - result.lo) / wall)
        self._set("flowatlas_device_busy", min(1.0, busy / wall))
        self._set("flowatlas_peak_memory_bytes", result.memory)

    def _move(self, step: str, by: int) -> None:
        self._depths[step] += by
        self._set("flowatlas_units_in_hand", self._depths[step], step=step)

    def _add(self, name: str, value: float, **tags: str) -> None:
        if value > 0:  # Ray's counters reject zero
            self._metrics[name].inc(value, {"run": self._run, **tags})

    def _set(self, name: str, value: float, **tags: str) -> None:
        self._metrics[name].set(value, {"run": self._run, "worker": self._worker, **tags})
