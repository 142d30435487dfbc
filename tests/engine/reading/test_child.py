"""A reader process has several requests to an object store on their way at once."""

from pathlib import Path

from pipeline.engine import run_flows
from pipeline.files.object_store import open_url
from pipeline.store import Receipt
from pipeline.store.objects import write
from tests.engine.datasets import small_config
from tests.engine.trees import tree
from tests.object_store.server import BUCKET, FaultyProxy, environment, s3_server

DELAY = 0.1
"""Seconds of each answer: far longer than a small image takes to decode."""


def test_requests_of_one_reader_overlap_and_faults_do_not_change_a_byte(tmp_path: Path) -> None:
    config = small_config(tmp_path, unit_rows=40)
    cluster = config.cluster.model_copy(update={"readers": "processes", "cpus_per_actor": 1})
    with s3_server() as endpoint:
        for path in sorted((tmp_path / "images").rglob("*.png")):
            name = path.relative_to(tmp_path / "images").as_posix()
            write(open_url(f"s3://{BUCKET}/images"), name, path.read_bytes())
        source = config.dataset.model_copy(update={"source": f"s3://{BUCKET}/images/"})
        there = config.model_copy(update={"dataset": source})
        run_flows(there)
        again = {"cluster": cluster, "run": str(tmp_path / "again")}
        receipts: list[Receipt] = []
        with FaultyProxy(endpoint, {"503": 0.1, "cut": 0.1}) as proxy, environment(proxy.url):
            proxy.delay_seconds = {"GET": DELAY}
            run_flows(there.model_copy(update=again), on_receipt=receipts.append)
        assert proxy.injected.total(), "some requests had to be repeated"
        assert proxy.busiest >= 4
    assert tree(tmp_path / "again") == tree(tmp_path / "run")
    (receipt,) = receipts
    assert receipt.ok == 40
    waited = receipt.seconds["fetch"]
    assert DELAY < waited < 40 * DELAY, "what counts is how long the reader waited for any of them"
