from pathlib import Path

from pipeline.engine import run_flows
from tests.engine.datasets import small_config, write_images
from tests.engine.trees import tree
from tests.images.broken import write_broken


def test_a_run_does_not_depend_on_what_reads_its_images(tmp_path: Path) -> None:
    runs = {}
    write_broken(write_images(tmp_path / "images") / "class_0")
    for readers in ("threads", "processes"):
        cluster = {"engine": "local", "cpus_per_actor": 2, "readers": readers}
        config = small_config(tmp_path, readers, cluster=cluster, limits={"quarantine": 1})
        totals = run_flows(config)
        assert totals.ok == 40
        assert totals.quarantined > 5
        runs[readers] = tree(config.run)
    assert runs["threads"] == runs["processes"]
