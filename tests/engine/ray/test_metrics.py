import re
from collections.abc import Iterator
from typing import Any

import pytest
import ray

from pipeline.engine.ray.metrics import METRICS, ActorMetrics
from pipeline.store import Receipt
from pipeline.store.receipts import StoredObject
from tests.jobs.cluster import RayCluster, ray_cluster
from tests.waiting import until

pytestmark = pytest.mark.slow

RECEIPT = Receipt(
    unit=3,
    lo=96,
    hi=128,
    run_hash="",
    objects=(StoredObject("a", 70, ""), StoredObject("b", 30, "")),
    ok=31,
    quarantined=1,
    reasons={"empty": 1},
    seconds={"compute": 4.0, "fetch": 0.5},
    memory=10**9,
)

Values = dict[tuple[str, str], float]


class Worker:
    """An actor that commits a unit, has another one in progress, and stays alive."""

    def __init__(self) -> None:
        self._metrics = ActorMetrics("s3://bucket/run")
        self._in_progress = self._metrics.step("compute")

    def work(self) -> None:
        with self._metrics.step("commit"):
            self._metrics.finished("a confirmation")
            self._metrics.finished(RECEIPT)
        self._in_progress.__enter__()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    pytest.importorskip("aiohttp", reason="metrics need ray[default]")
    with ray_cluster({"num-cpus": 1}) as running:
        ray.init(address=running.head, log_to_driver=False, logging_level="error")
        yield running
        ray.shutdown()


def values(page: str) -> Values:
    """Return the samples of a Prometheus page that are ours, by name and distinguishing label."""
    found: Values = {}
    for name, tags, value in re.findall(r"^ray_(flowatlas_\w+)\{(.*?)\} (\S+)$", page, re.M):
        labels: dict[str, Any] = dict(re.findall(r'(\w+)="(.*?)"', tags))
        assert labels["run"] == "s3://bucket/run"
        found[name, labels.get("status") or labels.get("stage") or labels.get("step") or ""] = (
            float(value)
        )
    return found


def test_prometheus_reads_what_a_receipt_says(cluster: RayCluster) -> None:
    worker = ray.remote(Worker).remote()
    ray.get(worker.work.remote())
    seen = Values()

    def complete() -> bool:
        seen.update(values(cluster.scrape()))
        return {name for name, _ in seen} == METRICS.keys()

    until(complete, every=0.5)
    assert seen["flowatlas_units_total", ""] == 1, "what is no receipt is not counted"
    assert seen["flowatlas_images_total", "ok"] == 31
    assert seen["flowatlas_images_total", "quarantined"] == 1
    assert seen["flowatlas_stored_bytes_total", ""] == 100
    assert seen["flowatlas_stage_seconds_total", "compute"] == 4
    assert seen["flowatlas_stage_seconds_total", "fetch"] == 0.5
    assert seen["flowatlas_device_busy", ""] == 1
    assert seen["flowatlas_peak_memory_bytes", ""] == 10**9
    assert seen["flowatlas_images_per_second", ""] > 0
    assert seen["flowatlas_units_in_hand", "commit"] == 0
    assert seen["flowatlas_units_in_hand", "compute"] == 1
