"""How many workers a run would start on this machine."""

import os

from pipeline.config import ClusterConfig
from pipeline.engine.scheduling.local import LocalEngine
from pipeline.engine.scheduling.share import share_of


def workers_here(cluster: ClusterConfig) -> int:
    """Return how many actors this machine has room for; 1 where the run is computed elsewhere."""
    if cluster.engine == "local" or _joined(cluster):
        return 1
    import torch

    here = {"CPU": LocalEngine().cpus, "GPU": torch.cuda.device_count()}
    return max(1, share_of(cluster, here).fits(here))


def _joined(cluster: ClusterConfig) -> bool:
    return (cluster.address or os.environ.get("RAY_ADDRESS", "local")) != "local"
