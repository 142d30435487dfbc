import pytest

from pipeline.engine import Pace, run_flows
from pipeline.store import Receipt
from tests.engine.datasets import small_config


def sentence(threads: int, **seconds: float) -> str:
    pace = Pace(threads)
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


def test_every_receipt_has_the_seconds_of_every_stage(tmp_path) -> None:  # type: ignore[no-untyped-def]
    receipts: list[Receipt] = []
    run_flows(small_config(tmp_path), on_receipt=receipts.append)
    for receipt in receipts:
        assert set(receipt.seconds) == {
            *("fetch", "decode", "transform", "wait", "compute", "measure", "assemble"),
            *("queue", "commit"),
        }
        assert receipt.seconds["compute"] > 0
