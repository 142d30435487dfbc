"""Settings that may make a run fast on a machine, and the ones to recommend."""

from collections.abc import Sequence
from typing import Any

from pipeline.config import ClusterConfig
from pipeline.engine.benchmark.result import Together

_PER_GPU = (1, 2, 4)
"""Actors that share a GPU."""

_WORTH = 1.05
"""What costs more (memory, another run) is recommended if it is this much faster."""


def candidates(configured: ClusterConfig, cpus: int, gpus: int) -> list[ClusterConfig]:
    """Return settings to try on one machine, the configured ones first.

    ``configured`` names actors, CPUs and GPUs as numbers. Beside GPUs all others share all CPUs
    among actors, some of which share a GPU; without, they are more and more actors of one CPU, and
    one actor of all.
    """
    tried = [configured]
    if configured.engine == "local":
        counts = {1, cpus}
        shapes = [(1, count, configured.gpus_per_actor) for count in sorted(counts)]
    elif configured.gpus_per_actor and gpus:
        fitting = [each for each in _PER_GPU if gpus * each <= cpus]
        shapes = [(gpus * each, cpus // (gpus * each), 1 / each) for each in fitting]
    else:
        shapes = [(count, 1, 0) for count in powers(cpus)]
        shapes.append((1, cpus, 0))
    for actors, threads, share in shapes:
        update = {"actors": actors, "cpus_per_actor": threads, "gpus_per_actor": share}
        one = configured.model_copy(update=update)
        if one not in tried:
            tried.append(one)
    return tried


def powers(most: int) -> list[int]:
    """Return 1, 2, 4, … up to ``most``, and ``most``."""
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return counts if most == 1 else [*counts, most]


def fastest(together: Sequence[Together]) -> Together:
    """Return the fastest settings; of nearly equal ones those with the fewest actors."""
    best = max(one.images_per_second for one in together)
    near = [one for one in together if one.images_per_second * _WORTH >= best]
    return min(near, key=lambda one: (one.actors, -one.images_per_second))


def recommended(
    together: Sequence[Together], engine: str, batches: dict[int, float], batch_size: int
) -> dict[str, Any]:
    """Return the sections of a configuration that make the run fastest here."""
    best = fastest(together)
    cluster: dict[str, Any] = {"cpus_per_actor": best.cpus_per_actor, "readers": best.readers}
    if engine == "ray":
        shared = {"actors": best.actors, "gpus_per_actor": best.gpus_per_actor}
        cluster = shared | cluster
    else:
        cluster = {"engine": engine} | cluster
    size = max(batches, key=lambda one: batches[one], default=batch_size)
    if batches and batches[size] > _WORTH * batches[batch_size]:
        return {"cluster": cluster, "flow": {"batch_size": size}}
    return {"cluster": cluster}
