"""One suite for every engine: all of them produce the same run."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import ray

from pipeline.config import ClusterConfig
from pipeline.engine import Engine, Job, LocalEngine, open_flows, run_flows
from pipeline.engine.ray import RayEngine
from pipeline.engine.ray.nodes import start
from pipeline.errors import ConfigError, QuarantineExceeded, RunConflict, UnitFailed
from pipeline.store import Receipt, RunLock, Unit, open_run, open_store
from tests.engine.datasets import created_run, small_config, write_images
from tests.engine.trees import tree
from tests.images.broken import write_broken

CPUS = 5


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of this machine with five CPUs and two GPUs that exist in name only."""
    start(
        num_cpus=CPUS,
        num_gpus=2,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        logging_level="error",
        log_to_driver=False,
    )
    yield
    ray.shutdown()


def pool(actors: int, gpus: float = 0, cpus: int = 1) -> RayEngine:
    return RayEngine(ClusterConfig(actors=actors, gpus_per_actor=gpus, cpus_per_actor=cpus))


ENGINES: dict[str, Callable[[], Engine]] = {
    "local": LocalEngine,
    "ray": lambda: pool(2),
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, cluster: None) -> Iterator[Engine]:
    made = ENGINES[request.param]()
    if isinstance(made, RayEngine):
        with made:
            yield made
    else:
        yield made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    run_flows(small_config(folder))
    return folder, tree(folder / "run")


def test_every_engine_gives_the_same_bytes(
    engine: Engine, undisturbed: tuple[Path, dict[str, bytes]], request: pytest.FixtureRequest
) -> None:
    folder, expected = undisturbed
    config = small_config(folder, f"run-{request.node.callspec.id}")
    totals = run_flows(config, engine=engine)
    assert (totals.rows, totals.ok, totals.quarantined) == (40, 40, 0)
    assert tree(config.run) == expected


def test_broken_images_are_quarantined_alone(engine: Engine, tmp_path: Path) -> None:
    config = small_config(tmp_path, limits={"quarantine": 0.5, "max_pixels": 4_000_000})
    clean = small_config(tmp_path, "clean")
    run_flows(clean)
    expected = write_broken(tmp_path / "images" / "class_1")
    totals = run_flows(config, engine=engine)
    run = open_run(config.run)
    rows = run.summary().to_table(["row", "status", "reason", "pred"]).to_pylist()
    uris = run.index()["uri"].to_pylist()
    found = {Path(uri).name: row["reason"] for uri, row in zip(uris, rows, strict=True)}
    assert len(expected) >= 12
    assert {name: found[name] for name in expected} == expected
    assert totals.quarantined == len(expected) == len(rows) - 40
    assert all(row["pred"] is None for row in rows if row["reason"])
    maps = {uri: run.read_maps(row, row + 1)[0] for row, uri in enumerate(uris)}
    before = open_run(clean.run)
    for row, uri in enumerate(before.index()["uri"].to_pylist()):
        np.testing.assert_allclose(maps[uri], before.read_maps(row, row + 1)[0], atol=1e-6)
    for uri, row in zip(uris, rows, strict=True):
        assert bool(maps[uri].any()) == (row["reason"] is None)


def test_a_unit_that_always_fails_stops_the_run_and_keeps_the_rest(
    engine: Engine, tmp_path: Path
) -> None:
    config = small_config(tmp_path)
    prepared = created_run(config)
    impossible = Unit(1, 3, 9)
    good = prepared.spec.units[0]
    job = Job(config.run, 2, open_flows)
    list(engine.run(job, [good]))  # beside the other, its failure might be known first
    with pytest.raises(UnitFailed, match=r"unit 1 .* failed 2 times.*not one shard"):
        list(engine.run(job, [impossible]))
    assert open_run(config.run).exists("receipts/00000000.json")
    assert not open_run(config.run).exists("receipts/00000001.json")


def test_a_configuration_error_is_raised_unchanged(engine: Engine, tmp_path: Path) -> None:
    config = small_config(tmp_path)
    prepared = created_run(config)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="does not load as plain tensors"):
        list(engine.run(Job(config.run, 3, open_flows), prepared.spec.units))


def test_actors_are_pinned_to_their_part_of_a_gpu_and_threads(
    cluster: None, tmp_path: Path
) -> None:
    config = small_config(tmp_path)
    prepared = created_run(config)
    with pool(3, gpus=0.5, cpus=1) as engine:
        receipts = engine.run(Job(config.run, 1, open_flows), prepared.spec.units)
        next(receipts)
        places = engine.places()
        assert len(list(receipts)) == len(prepared.spec.units) - 1
    assert sorted(Counter(place.gpus for place in places).items()) in (
        [("0", 1), ("1", 2)],
        [("0", 2), ("1", 1)],
    )
    assert [place.threads for place in places] == [1, 1, 1]
    assert len({place.pid for place in places} | {os.getpid()}) == 4


@pytest.mark.parametrize("kills", [1, 2])
def test_a_killed_actor_costs_at_most_its_unit(
    cluster: None, kills: int, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    folder, expected = undisturbed
    config = small_config(folder, f"killed-{kills}")
    with pool(2) as engine:
        finished: list[object] = []

        def kill(receipt: object) -> None:
            finished.append(receipt)
            if len(finished) == 1:
                for place in engine.places()[:kills]:
                    os.kill(place.pid, signal.SIGKILL)

        run_flows(config, engine=engine, on_receipt=kill)
    assert len(finished) == 5
    assert tree(config.run) == expected


def test_actors_take_the_next_job_and_are_replaced_if_they_died_meanwhile(
    cluster: None, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    folder, expected = undisturbed
    pids: list[int] = []
    with pool(1) as engine:
        for number in range(3):
            config = small_config(folder, f"job-{number}")
            run_flows(
                config,
                engine=engine,
                on_receipt=lambda _: pids.append(engine.places()[0].pid),
            )
            assert tree(config.run) == expected
            if number == 1:
                os.kill(pids[-1], signal.SIGKILL)
    assert [len(set(pids[:10])), len(set(pids))] == [1, 2]


def test_the_wait_for_nodes_with_room_is_limited(cluster: None, tmp_path: Path) -> None:
    config = small_config(tmp_path)
    units = created_run(config).spec.units
    asked = ClusterConfig(gpus_per_actor=4, cpus_per_actor=1, patience=0.5)
    message = "no node with room for an actor of 1 CPU and 4 GPUs"
    with RayEngine(asked) as engine, pytest.raises(UnitFailed, match=message):
        list(engine.run(Job(config.run, 1, open_flows), units))


def test_a_finished_run_is_not_computed_again(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    run_flows(config)
    before = {path: path.stat().st_mtime_ns for path in Path(config.run).rglob("*/c/*/*")}
    again: list[object] = []
    run_flows(config, on_receipt=again.append)
    assert not again
    assert before == {path: path.stat().st_mtime_ns for path in Path(config.run).rglob("*/c/*/*")}


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    run_flows(config)
    expected = tree(config.run)
    folder = Path(config.run)
    (folder / "receipts/00000002.json").unlink()
    (folder / "flows.zarr/maps/c/4/0/0/0").write_bytes(b"torn")
    units: list[int] = []
    finished: list[bool] = []

    def note(receipt: Receipt) -> None:
        units.append(receipt.unit)
        finished.append(open_run(config.run).finished)

    run_flows(config, on_receipt=note)
    assert sorted(units) == [2, 4]
    assert finished == [False, False]
    assert tree(config.run) == expected


def test_another_configuration_is_refused_by_name(tmp_path: Path) -> None:
    run_flows(small_config(tmp_path))
    with pytest.raises(RunConflict, match=r"config\.flow\.batch_size \(was 4, is 5\)"):
        run_flows(small_config(tmp_path, flow={"batch_size": 5}))


def test_a_changed_dataset_is_refused(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    run_flows(config)
    write_images(tmp_path / "images", images=43)
    (tmp_path / "images/class_1/0001.png").unlink()
    (tmp_path / "images/class_2/0002.png").write_bytes(b"another")
    message = r"1 removed \('class_1/0001.png'\), 3 added \(.*\), 1 changed \('class_2/0002.png'\)"
    with pytest.raises(RunConflict, match=message):
        run_flows(config)


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    with (
        RunLock(open_store(config.run, create=True)),
        pytest.raises(RunConflict, match="another driver"),
    ):
        run_flows(config)


def test_too_many_quarantined_images_fail_the_run(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    (tmp_path / "images/class_0/0000.png").write_bytes(b"")
    with pytest.raises(QuarantineExceeded, match=r"1 of 40 images were quarantined \(1 empty\)"):
        run_flows(config)
