"""Nodes that come and go while a run is on: several on this machine, each a raylet of its own."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from pipeline.config import ClusterConfig
from pipeline.engine import Failure, Job, run_flows
from pipeline.engine.ray import RayEngine
from pipeline.store import Receipt, finalize, open_run
from tests.chaos.workers import open_meddled
from tests.engine.datasets import created_run, small_config, write_images
from tests.engine.trees import tree

pytestmark = pytest.mark.slow

MEMORY = 80 * 2**20


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without work and one node that has one CPU and half of a GPU's work to give."""
    for name, value in {"initial_delay": 0, "period": 500, "timeout": 2000}.items():
        monkeypatch.setenv(f"RAY_health_check_{name}_ms", str(value))
    head = {"num_cpus": 0, "object_store_memory": MEMORY, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    first = made.add_node(num_cpus=1, object_store_memory=MEMORY)
    ray.init(address=made.address, log_to_driver=False, logging_level="error")
    yield made, first
    ray.shutdown()
    made.shutdown()


def test_actors_follow_the_nodes_and_lost_ones_are_forgiven(cluster: Any, tmp_path: Path) -> None:
    """A larger node joins late; the first one is killed, raylet, workers and all."""
    nodes, first = cluster
    write_images(tmp_path / "images", images=160)
    run_flows(small_config(tmp_path, "undisturbed"))
    config = small_config(tmp_path)
    spec = created_run(config).spec
    opener = partial(open_meddled, kind="Leisurely", folder=tmp_path)
    receipts: list[Receipt] = []
    workers: list[int] = []
    lost: list[Failure] = []
    with RayEngine(ClusterConfig(gpus_per_actor=0, cpus_per_actor=1)) as engine:
        assert engine.workers == 1
        for receipt in engine.run(Job(config.run, 1, opener), spec.units, lost.append):
            receipts.append(receipt)
            workers.append(engine.workers)
            if len(receipts) == 1:
                nodes.add_node(num_cpus=2, object_store_memory=MEMORY)
                joined = True
            if joined and max(workers) == 3:
                # Without a grace: the raylet is gone, its workers with it.
                os.kill(first.all_processes["raylet"][0].process.pid, signal.SIGKILL)
                joined = False
    assert max(workers) == 3, "the late node has two actors"
    assert workers[-1] == 2, "the lost node has none"
    assert [failure.kind for failure in lost] == ["node_lost"]
    assert lost[0].node == first.node_id
    assert Counter(receipt.unit for receipt in receipts) == Counter(range(20))
    assert {receipt.attempt for receipt in receipts} == {1}, "nobody was charged"
    finalize(open_run(config.run).store, spec, quarantine_limit=0)
    assert tree(config.run) == tree(tmp_path / "undisturbed")
