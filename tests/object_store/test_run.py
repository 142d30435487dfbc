"""A dataset in a bucket, a run in a bucket: the same bytes as on a disk, whatever happens."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import yaml

from pipeline.atlas import aggregate
from pipeline.audit import audit
from pipeline.config import ClusterConfig, RunConfig
from pipeline.engine import run_flows
from pipeline.engine.ray import RayEngine
from pipeline.engine.ray.nodes import start
from pipeline.errors import FlowatlasError, RunConflict
from pipeline.files import object_store
from pipeline.files.object_store import open_url
from pipeline.report import write_report
from pipeline.store import RunLock, lock, open_run, open_store, verify
from pipeline.store.objects import delete, sizes, write
from tests.engine.trees import tree
from tests.object_store.runs import bucket_url, remote_config, remote_dataset, tree_at, upload
from tests.object_store.server import KEY, SECRET, FaultyProxy, environment
from tests.waiting import TIMEOUT, until

KINDS = ("folder", "table", "webdataset", "parquet")


@pytest.fixture(scope="module", params=KINDS)
def local_run(
    request: pytest.FixtureRequest, endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunConfig, dict[str, bytes]]:
    """A finished run on disk of each kind of remote dataset."""
    folder = tmp_path_factory.mktemp(request.param)
    source = remote_dataset(folder, request.param, bucket_url(f"data/{request.param}"))
    config = remote_config(folder, "run", source)
    totals = run_flows(config)
    assert (totals.ok, totals.quarantined) == (40, 0)
    return folder, config, tree(config.run)


def test_a_run_in_a_bucket_has_the_same_bytes(
    local_run: tuple[Path, RunConfig, dict[str, bytes]],
) -> None:
    folder, config, expected = local_run
    there = config.model_copy(update={"run": bucket_url(f"runs/{folder.name}")})
    run_flows(there)
    assert tree_at(there.run) == expected
    labels = open_run(there.run).summary().to_table(columns=["label"])["label"].to_pylist()
    assert sorted(labels) == sorted(number % 3 for number in range(40))


@pytest.fixture(scope="module")
def simple(
    endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunConfig, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("simple")
    source = remote_dataset(folder, "webdataset", bucket_url("data/simple"))
    config = remote_config(folder, "run", source)
    run_flows(config)
    return folder, config, tree(config.run)


@pytest.fixture(scope="module")
def cluster(endpoint: str) -> Iterator[None]:
    start(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        logging_level="error",
        log_to_driver=False,
    )
    yield
    ray.shutdown()


def test_actors_write_the_same_bytes(
    cluster: None, simple: tuple[Path, RunConfig, dict[str, bytes]]
) -> None:
    _, config, expected = simple
    there = config.model_copy(update={"run": bucket_url("runs/ray")})
    engine = RayEngine(ClusterConfig(actors=2, gpus_per_actor=0, cpus_per_actor=1))
    with engine:
        run_flows(there, engine=engine)
    assert tree_at(there.run) == expected


def test_a_killed_driver_goes_on_in_the_bucket(
    simple: tuple[Path, RunConfig, dict[str, bytes]],
) -> None:
    folder, config, expected = simple
    there = config.model_copy(update={"run": bucket_url("runs/killed")})
    path = folder / "killed.yaml"
    path.write_text(yaml.safe_dump(there.model_dump(mode="json")))
    code = (
        "import os, sys\n"
        "from pipeline.config import load_config\n"
        "from pipeline.engine import run_flows\n"
        "done = []\n"
        "def note(receipt):\n"
        "    done.append(receipt)\n"
        "    if len(done) == 2: os.kill(os.getpid(), 9)\n"
        "run_flows(load_config(sys.argv[1]), on_receipt=note)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=TIMEOUT)
    assert killed.returncode == -9
    assert len(sizes(open_store(there.run), "receipts")) in (2, 3)
    again: list[object] = []
    run_flows(there, on_receipt=again.append)
    assert 2 <= len(again) <= 3
    assert tree_at(there.run) == expected


def test_what_is_torn_in_the_bucket_is_found_and_mended(
    simple: tuple[Path, RunConfig, dict[str, bytes]],
) -> None:
    _, config, expected = simple
    there = config.model_copy(update={"run": bucket_url("runs/torn")})
    run_flows(there)
    store = open_store(there.run)
    size = len(expected["summary/00000001.parquet"])
    write(store, "summary/00000001.parquet", bytes(size))
    delete(store, "flows.zarr/maps/c/3/0/0/0")
    found = verify(store, open_run(there.run).spec, deep=True)
    assert {problem.unit for problem in found.problems} == {1, 3}
    run_flows(there)
    assert tree_at(there.run) == expected


def test_a_second_driver_is_kept_out_of_the_bucket(
    simple: tuple[Path, RunConfig, dict[str, bytes]],
) -> None:
    _, config, _ = simple
    there = config.model_copy(update={"run": bucket_url("runs/locked")})
    store = open_store(there.run, create=True)
    with RunLock(store), pytest.raises(RunConflict, match="another driver"):
        run_flows(there)
    assert not sizes(store, "lock.json")


def test_the_heartbeat_outlives_a_store_that_is_away(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(object_store, "RETRY", {"max_retries": 0})
    with FaultyProxy(endpoint, {}) as proxy, environment(proxy.url):
        store = open_store(bucket_url("runs/beating"), create=True)
        with RunLock(store):
            proxy.rates = {"503": 1.0}
            until(lambda: proxy.injected["503"] >= 2)
            proxy.rates = {}
            answered = proxy.requests
            until(lambda: proxy.requests >= answered + 3)
        assert not sizes(store, "lock.json")


def test_a_bucket_that_is_not_there_is_told(endpoint: str, tmp_path: Path) -> None:
    config = remote_config(tmp_path, "s3://no-such-bucket/run", str(tmp_path / "images"))
    with pytest.raises(FlowatlasError, match="create the bucket or check the run's URL"):
        run_flows(config)


@pytest.mark.slow
def test_a_store_that_fails_at_random_changes_nothing(
    endpoint: str, simple: tuple[Path, RunConfig, dict[str, bytes]]
) -> None:
    _, config, expected = simple
    rates = {"503": 0.05, "reset": 0.05, "cut": 0.03, "hang": 0.01, "lost": 0.04}
    there = config.model_copy(
        update={
            "run": bucket_url("runs/faulty"),
            "limits": config.limits.model_copy(update={"attempts": 8}),
        }
    )
    with FaultyProxy(endpoint, rates, hang_seconds=0.2) as proxy, environment(proxy.url):
        totals = run_flows(there)
        assert min(proxy.injected[fault] for fault in rates if fault != "hang") > 0
    assert (totals.ok, totals.quarantined) == (40, 0)
    assert tree_at(there.run) == expected


def test_missing_objects_are_quarantined_and_only_they(
    endpoint: str, simple: tuple[Path, RunConfig, dict[str, bytes]], tmp_path: Path
) -> None:
    folder, _, _ = simple
    source = remote_dataset(tmp_path, "table", bucket_url("data/holes"))
    delete(open_url(bucket_url("data/holes")), "images/class_2/0005.png")
    config = remote_config(folder, bucket_url("runs/holes"), source, limits={"quarantine": 0.1})
    with FaultyProxy(endpoint, {"503": 0.1, "reset": 0.1}) as proxy, environment(proxy.url):
        totals = run_flows(config)
    assert totals.reasons == {"missing": 1}


def test_weights_and_names_come_from_the_bucket(
    simple: tuple[Path, RunConfig, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, config, _ = simple
    monkeypatch.setenv("FLOWATLAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    os.link(folder / "model.safetensors", tmp_path / "models/model.safetensors")
    (tmp_path / "models/names.txt").write_text("ant\nbee\ncat\n")
    (tmp_path / "models/labels.json").write_text('{"0": 2, "1": 1, "2": 0}')
    url = bucket_url("models")
    upload(tmp_path / "models", url)
    model = config.model.model_copy(update={"weights": f"{url}/model.safetensors"})
    dataset = config.dataset.model_copy(
        update={"classes": f"{url}/names.txt", "labels": f"{url}/labels.json"}
    )
    there = config.model_copy(
        update={"run": bucket_url("runs/weights"), "model": model, "dataset": dataset}
    )
    run_flows(there)
    run = open_run(there.run)
    assert run.spec.classes == ("ant", "bee", "cat")
    assert run.spec.weights_sha256 == open_run(config.run).spec.weights_sha256
    assert run.index()["label"][:3].to_pylist() == [2, 0, 1]
    kept = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(kept) == 1


@pytest.mark.slow
def test_the_whole_story_in_a_bucket_tells_no_secret(
    simple: tuple[Path, RunConfig, dict[str, bytes]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Aggregate, audit and report, in the bucket as on disk; no object or line has the keys."""
    _, config, _ = simple
    there = config.model_copy(update={"run": bucket_url("runs/story")})
    for one in (config, there):
        run_flows(one)
        run = open_run(one.run)
        aggregate(run)
        audit(run)
        write_report(run)
    found = tree_at(there.run)
    assert found == tree_at(config.run)
    assert {"report/index.html", "audit/findings.parquet", "atlas/label.parquet"} <= found.keys()
    told = "".join(capfd.readouterr())
    for secret in (SECRET, KEY):
        assert secret not in told
        assert not [path for path, content in found.items() if secret.encode() in content]
