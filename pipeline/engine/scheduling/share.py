"""What each actor gets of a cluster or a machine, and how many there is room for. Needs no Ray."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.config import ClusterConfig

_CPUS_PER_GPU_ACTOR = 4


@dataclass(frozen=True)
class Share:
    """What each actor gets: CPUs (threads) and GPUs (may be a fraction of one)."""

    cpus: int
    gpus: float

    def fits(self, resources: Mapping[str, float]) -> int:
        """Return how many actors fit a node with these resources.

        A fraction of a GPU is never split over two of them.
        """
        room = int(resources.get("CPU", 0) / self.cpus)
        if self.gpus:
            gpus = resources.get("GPU", 0)
            per_gpu = math.floor(1 / self.gpus + 1e-9)
            room = min(room, int(gpus) * per_gpu if self.gpus < 1 else int(gpus / self.gpus))
        return room


def share_of(cluster: ClusterConfig, resources: Mapping[str, float]) -> Share:
    """Return what each actor gets of ``resources``: by default a whole GPU if there is any."""
    gpus = cluster.gpus_per_actor
    if gpus == "auto":
        gpus = float(resources.get("GPU", 0) > 0)
    cpus = cluster.cpus_per_actor
    if cpus == "auto":
        cpus = _CPUS_PER_GPU_ACTOR if gpus else 1
    return Share(cpus, gpus)
