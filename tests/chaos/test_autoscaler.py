"""A cluster without workers that Ray's own autoscaler grows and shrinks, on this machine."""

from pathlib import Path

import pytest
import ray

from pipeline.config import ClusterConfig
from pipeline.engine import Started, run_flows
from pipeline.engine.ray import RayEngine
from pipeline.engine.ray.nodes import nodes
from tests.engine.datasets import small_config, write_images
from tests.engine.trees import tree
from tests.jobs.cluster import ray_cluster
from tests.waiting import TIMEOUT, until

pytestmark = pytest.mark.slow


def test_nodes_are_asked_for_and_given_back(tmp_path: Path) -> None:
    write_images(tmp_path / "images", images=80)
    run_flows(small_config(tmp_path, "undisturbed"))
    config = small_config(tmp_path)
    starts: list[Started] = []
    workers: list[int] = []
    with ray_cluster({"num-cpus": 0}, scaled={"CPU": 1}) as cluster:
        ray.init(address=cluster.head, log_to_driver=False, logging_level="error")
        try:
            asked = ClusterConfig(actors=2, gpus_per_actor=0, cpus_per_actor=1, patience=TIMEOUT)
            with RayEngine(asked) as engine:
                run_flows(
                    config,
                    engine=engine,
                    on_start=starts.append,
                    on_receipt=lambda receipt: workers.append(engine.workers),
                )
            until(lambda: len(nodes()) == 1, every=0.5)  # idle nodes go
        finally:
            ray.shutdown()
    assert (starts[0].workers, starts[0].wanted) == (0, 2)
    assert max(workers) == 2
    assert tree(config.run) == tree(tmp_path / "undisturbed")
