"""The bottleneck of a run is named rightly, in arranged cases with real parts, too."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config import RunConfig
from pipeline.engine import Job, LocalEngine, Pace, open_flows, run_flows
from pipeline.files.object_store import open_url
from pipeline.store import Receipt
from pipeline.store.objects import write
from tests.engine.datasets import MODEL, created_run, small_config, write_model
from tests.engine.step.test_micro_batches import memory_for
from tests.object_store.server import BUCKET, FaultyProxy, environment, s3_server


def sentence(threads: int, room: int = 0, cpus: int = 0, **seconds: float) -> str:
    pace = Pace(threads, room, cpus)
    for _ in range(2):
        pace.add(Receipt(0, 0, 8, "", (), 8, 0, {}, seconds=seconds))
    return pace.sentence


@pytest.mark.parametrize(
    ("threads", "seconds", "start"),
    [
        (
            4,
            {"wait": 7.1, "compute": 2.9, "decode": 15, "fetch": 2, "transform": 0.4},
            "decode-bound: 71% of time waiting for images; raise cluster.cpus_per_actor to 6",
        ),
        (2, {"wait": 3, "compute": 1, "fetch": 1, "decode": 0.5}, "fetch-bound: 75% of time"),
        (1, {"wait": 1, "compute": 8, "measure": 1}, "compute-bound: 80% of time in compute"),
        (1, {"compute": 1, "store": 3, "commit": 9}, "commit-bound: 75% of time waiting"),
        (1, {"compute": 1, "queue": 3, "commit": 9}, "compute-bound: 100% of time in compute"),
        (1, {"compute": 1, "memory": 3}, "memory-bound: 75% of time in batches that did not fit"),
        (
            4,
            {"compute": 8, "wait": 2, "launch": 7.5, "device": 8},
            "launch-bound: 80% of time computing, most of it by calls that the GPU waits for, "
            "20% waiting for images; several actors on a GPU (cluster.gpus_per_actor)",
        ),
        (
            4,
            {"compute": 8, "wait": 2, "launch": 2, "device": 8},
            "compute-bound: 80% of time in compute, the GPU busy for at least 75% of the flow, 20%",
        ),
        (
            1,
            {"compute": 6, "measure": 2, "wait": 2, "calls": 6},
            "overhead-bound: 80% of time computing, 75% of it calls that take as long for fewer "
            "images, 20% waiting for images; larger batches in a new run (flow.batch_size)",
        ),
        (1, {"compute": 6, "measure": 2, "calls": 2}, "compute-bound: 75% of time in compute"),
        (1, {}, "no time was spent"),
    ],
)
def test_the_bottleneck_is_named(threads: int, seconds: dict[str, float], start: str) -> None:
    assert sentence(threads, **seconds).startswith(start)


def test_more_actors_are_only_proposed_where_there_is_room() -> None:
    full = sentence(1, compute=8)
    assert "no room for more actors" in full
    assert "more actors make it faster" not in full
    assert "more actors make it faster: there is room for 3" in sentence(1, room=3, compute=8)


def test_no_more_cpus_are_proposed_than_there_are() -> None:
    reading = {"wait": 9.0, "compute": 1.0, "decode": 40.0}
    assert sentence(2, cpus=64, **reading).endswith("raise cluster.cpus_per_actor to 40")
    assert sentence(2, cpus=8, **reading).endswith("raise cluster.cpus_per_actor to 8")
    full = sentence(8, cpus=8, **reading)
    assert "8 of 8 CPUs read already" in full
    assert "cpus_per_actor" not in full


def test_a_machine_that_is_full_has_no_room() -> None:
    cpus = LocalEngine().cpus
    assert LocalEngine(threads=cpus).room == 0
    assert LocalEngine(threads=1).room == cpus - 1


def test_every_receipt_has_the_seconds_of_every_stage(tmp_path) -> None:  # type: ignore[no-untyped-def]
    receipts: list[Receipt] = []
    run_flows(small_config(tmp_path), on_receipt=receipts.append)
    for receipt in receipts:
        assert set(receipt.seconds) == {
            *("fetch", "decode", "transform", "wait", "compute", "measure", "assemble"),
            *("store", "queue", "commit", "calls"),
        }
        assert receipt.seconds["compute"] > 0


def sentences(config: RunConfig, start: str, cpus: Sequence[int] = (64,)) -> list[str]:
    """Return the sentences on a run in this process, one for each most number of CPUs.

    The first unit is left out: it warms up. Where the first sentence does not start as it should,
    the run is made anew, a few times: other processes may have taken the CPU at that moment.
    """
    for attempt in range(5):
        receipts: list[Receipt] = []
        again = config.model_copy(update={"run": f"{config.run}-{attempt}"})
        run_flows(again, on_receipt=receipts.append, engine=LocalEngine(1))
        paces = [Pace(1, 0, most) for most in cpus]
        for pace in paces:
            for receipt in receipts[1:]:
                pace.add(receipt)
        if re.match(start, paces[0].sentence):
            break
    return [pace.sentence for pace in paces]


def large_images(folder: Path) -> Path:
    """Write images that take far longer to decode than a small model to explain."""
    noise = np.random.default_rng(0).integers(0, 255, (1400, 1800, 3), dtype=np.uint8)
    for number in range(24):
        place = folder / f"class_{number % 3}" / f"{number:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(noise, number, 1)).save(place, compress_level=1)
    return folder


@pytest.fixture(scope="module")
def store() -> Iterator[FaultyProxy]:
    """An object store of which every answer can be made to take a while."""
    with s3_server() as endpoint, FaultyProxy(endpoint, {}) as proxy, environment(proxy.url):
        yield proxy


def test_a_slow_store_of_images(tmp_path: Path, store: FaultyProxy) -> None:
    config = small_config(tmp_path)
    for path in sorted((tmp_path / "images").rglob("*.png")):
        name = path.relative_to(tmp_path / "images").as_posix()
        write(open_url(f"s3://{BUCKET}/images"), name, path.read_bytes())
    source = config.dataset.model_copy(update={"source": f"s3://{BUCKET}/images/"})
    store.delay_seconds = {"GET": 0.05}
    start = r"fetch-bound: \d+% of time waiting for images; raise cluster.cpus"
    (found,) = sentences(config.model_copy(update={"dataset": source}), start)
    assert re.match(start, found)


def test_few_readers_and_a_model_that_is_faster_than_they(tmp_path: Path) -> None:
    large_images(tmp_path / "images")
    start = r"decode-bound: \d+% of time waiting for images; raise cluster.cpus"
    few, all_of_them = sentences(small_config(tmp_path), start, cpus=(64, 1))
    assert re.match(start, few)
    assert re.match(r"decode-bound: \d+% of time waiting .* 1 of 1 CPU reads already", all_of_them)


def test_a_slow_store_of_results(tmp_path: Path, store: FaultyProxy) -> None:
    store.delay_seconds = {"PUT": 0.05}
    config = small_config(tmp_path).model_copy(update={"run": f"s3://{BUCKET}/run"})
    start = r"commit-bound: \d+% of time waiting for the store"
    (found,) = sentences(config, start)
    assert re.match(start, found)


def test_a_model_that_takes_all_the_time(tmp_path: Path) -> None:
    larger = {"img_size": 64, "embed_dim": 96}
    model = {
        "name": "vit_tiny_patch16_224",
        "weights": str(write_model(tmp_path / "larger.safetensors", **larger)),
        "options": MODEL | larger,
        "input": {"size": [64, 64]},
    }
    flow = {"method": "occlusion", "batch_size": 4}
    config = small_config(tmp_path, model=model, flow=flow)
    start = r"compute-bound: \d+% of time in compute, \d+% waiting for images"
    (found,) = sentences(config, start)
    assert re.match(start, found)


def test_a_model_so_small_that_its_calls_take_the_time(tmp_path: Path) -> None:
    start = r"overhead-bound: \d+% of time computing, \d+% of it calls that take"
    (found,) = sentences(small_config(tmp_path, flow={"batch_size": 2}), start)
    assert re.match(start, found)
    assert "flow.batch_size" in found


def test_memory_that_was_tried_in_vain(tmp_path: Path) -> None:
    config = small_config(tmp_path, flow={"batch_size": 8})
    receipts: list[Receipt] = []
    units = created_run(config).spec.units
    with memory_for(3):
        receipts += LocalEngine().run(Job(config.run, 1, open_flows), units)
    assert [receipt.seconds.get("memory", 0.0) > 0 for receipt in receipts] == [True] + [False] * 4
