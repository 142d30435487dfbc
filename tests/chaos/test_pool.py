"""What may happen to the actors of a pool, on one real Ray."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import ray

from pipeline.config import ClusterConfig, RunConfig
from pipeline.engine import Engine, Failure, Job, LocalEngine, run_flows
from pipeline.engine.ray import RayEngine
from pipeline.engine.ray.nodes import start
from pipeline.errors import UnitFailed
from pipeline.store import Receipt, finalize, open_run
from tests.chaos.workers import (
    DEADLY,
    open_meddled,
    open_nothing,
    open_with_a_deadly_decoder,
)
from tests.engine.datasets import created_run, small_config
from tests.engine.trees import tree


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    start(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        logging_level="error",
        log_to_driver=False,
    )
    yield
    ray.shutdown()


@pytest.fixture
def pool(cluster: None) -> Iterator[RayEngine]:
    with RayEngine(ClusterConfig(actors=2, gpus_per_actor=0, cpus_per_actor=1)) as engine:
        yield engine


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run_flows(small_config(folder))
    return folder, tree(folder / "run")


def compute(
    engine: Engine, config: RunConfig, kind: str, folder: Path, attempts: int = 3
) -> list[Failure]:
    """Compute a run with workers of a kind, and finish it; return what went wrong."""
    failures: list[Failure] = []
    spec = created_run(config).spec
    opener = partial(open_meddled, kind=kind, folder=folder)
    job = Job(config.run, attempts, opener)
    receipts: list[Receipt] = list(engine.run(job, spec.units, failures.append))
    assert sorted(receipt.unit for receipt in receipts) == [unit.id for unit in spec.units]
    totals = finalize(open_run(config.run).store, spec, quarantine_limit=0)
    assert (totals.rows, totals.ok) == (40, 40)
    return failures


@pytest.mark.slow
def test_workers_that_die_at_work(
    pool: RayEngine, undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    folder, expected = undisturbed
    config = small_config(folder, "unlucky")
    failures = compute(pool, config, "Unlucky", tmp_path)
    assert [failure.kind for failure in failures] == ["worker_lost"] * 2
    assert all("ActorDiedError" in str(failure.error) for failure in failures)
    assert 4 in {unit.id for failure in failures for unit in failure.units}
    assert {flag.name for flag in tmp_path.iterdir()} == {"killed", "terminated"}
    assert tree(config.run) == expected


def test_a_store_that_often_answers_503(
    undisturbed: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    folder, expected = undisturbed
    config = small_config(folder, "run-503")
    failures = compute(LocalEngine(), config, "Unreliable", tmp_path, attempts=50)
    attempts = [open_run(config.run).read(f"receipts/{unit:08d}.json") for unit in range(5)]
    assert {failure.kind for failure in failures} == {"retry"}
    assert all(str(failure.error).startswith("StoreFailed: 503") for failure in failures)
    assert any("in commit_unit" in failure.traceback for failure in failures)
    assert any(b'"attempt": 1,' not in receipt for receipt in attempts)
    assert tree(config.run) == expected


@pytest.mark.slow
def test_an_image_that_kills_its_decoder_is_quarantined_alone(
    pool: RayEngine, tmp_path: Path
) -> None:
    config = small_config(tmp_path, limits={"quarantine": 0.1})
    deadly = sorted((tmp_path / "images").rglob("*.png"))[13]
    clean = small_config(tmp_path, "clean")
    run_flows(clean)
    deadly.write_bytes(DEADLY)
    spec = created_run(config).spec
    job = Job(config.run, 1, open_with_a_deadly_decoder)
    assert len(list(pool.run(job, spec.units))) == 5
    totals = finalize(open_run(config.run).store, spec, quarantine_limit=0.1)
    assert (totals.ok, totals.reasons) == (39, {"crashed": 1})
    run, before = open_run(config.run), open_run(clean.run)
    uris = run.index()["uri"].to_pylist()
    rows = run.summary().to_table(["row", "reason"]).to_pylist()
    assert [uris[row["row"]] for row in rows if row["reason"]] == [
        str(deadly.relative_to(tmp_path / "images"))
    ]
    maps, wanted = run.read_maps(0, 40), before.read_maps(0, 40)
    for row, uri in enumerate(uris):
        other = before.index()["uri"].to_pylist().index(uri)
        if rows[row]["reason"] is None:
            assert abs(maps[row] - wanted[other]).max() < 1e-6
        else:
            assert not maps[row].any()


@pytest.mark.slow
def test_workers_that_cannot_be_opened_end_the_run_with_the_reason(
    cluster: None, tmp_path: Path
) -> None:
    config = small_config(tmp_path)
    spec = created_run(config).spec
    message = "3 workers in a row could not be started.* worker process has died"
    with (
        RayEngine(ClusterConfig(actors=1, gpus_per_actor=0, cpus_per_actor=1)) as one,
        pytest.raises(UnitFailed, match=f"(?s){message}"),
    ):
        list(one.run(Job(config.run, 3, open_nothing), spec.units))
