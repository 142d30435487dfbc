"""A worker that takes more memory than its node has: Ray kills it before the kernel does."""

from functools import partial
from pathlib import Path

import psutil
import pytest
import ray

from pipeline.config import ClusterConfig
from pipeline.engine import Job, run_flows
from pipeline.engine.ray import RayEngine
from pipeline.engine.ray.nodes import start
from pipeline.store import Receipt, finalize, open_run
from tests.chaos.workers import GREED, open_meddled
from tests.engine.datasets import created_run, small_config
from tests.engine.trees import tree

SPARE = 5 * 2**30
"""Bytes that may be taken beside what is in use: enough for a worker and for what other processes
need meanwhile, not for its greed."""


@pytest.mark.slow
def test_a_greedy_worker_is_killed_and_its_unit_done_by_another(tmp_path: Path) -> None:
    memory = psutil.virtual_memory()
    if memory.available < SPARE + GREED + 2**31:
        pytest.skip("too little memory here to waste it")
    run_flows(small_config(tmp_path, "undisturbed"))
    config = small_config(tmp_path)
    spec = created_run(config).spec
    limit = memory.total - memory.available + SPARE
    (tmp_path / "limit").write_text(str(limit))
    start(
        num_cpus=1,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        logging_level="error",
        log_to_driver=False,
        _system_config={
            "memory_usage_threshold": limit / memory.total,
            "memory_monitor_refresh_ms": 100,
        },
    )
    try:
        with RayEngine(ClusterConfig(gpus_per_actor=0, cpus_per_actor=1)) as engine:
            opener = partial(open_meddled, kind="Greedy", folder=tmp_path)
            receipts: list[Receipt] = list(engine.run(Job(config.run, 3, opener), spec.units))
    finally:
        ray.shutdown()
    assert (tmp_path / "greedy").exists()
    assert not (tmp_path / "sated").exists(), "nobody stopped it"
    assert sorted(receipt.unit for receipt in receipts) == [0, 1, 2, 3, 4]
    finalize(open_run(config.run).store, spec, quarantine_limit=0)
    assert tree(config.run) == tree(tmp_path / "undisturbed")
