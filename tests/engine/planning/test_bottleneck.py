import pytest

from pipeline.engine import LocalEngine, Pace, run_flows
from pipeline.store import Receipt
from tests.engine.datasets import small_config


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
        (1, {"compute": 1, "queue": 3, "commit": 9}, "commit-bound: 75% of time waiting"),
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
    assert "all 8 CPUs read already" in full
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
            *("queue", "commit"),
        }
        assert receipt.seconds["compute"] > 0
