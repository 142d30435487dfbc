import pytest

from pipeline.engine.cluster import metrics
from pipeline.engine.cluster.metrics import METRICS, ActorMetrics
from pipeline.store import Receipt
from pipeline.store.receipts import StoredObject


class Noted:
    """A metric that keeps what it is told instead of handing it to Ray."""

    told: list[tuple[str, float, dict[str, str]]]

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        self.name, self.tags = name, set(tag_keys)

    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert value > 0
        self.set(value, tags)

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert tags.keys() == self.tags
        self.told.append((self.name, value, tags))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, dict[str, str]]]:
    Noted.told = []
    noted = {name: (Noted, *rest) for name, (_, *rest) in METRICS.items()}
    monkeypatch.setattr(metrics, "METRICS", noted)
    return Noted.told


def test_a_receipt_is_counted_under_every_name(told: list[tuple[str, float, object]]) -> None:
    actor = ActorMetrics("s3://bucket/run")
    with actor.step("compute"), actor.step("commit"):
        pass
    receipt = Receipt(
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
    actor.finished(receipt)
    assert {name for name, _, _ in told} == METRICS.keys()
    values = {(name, *sorted(tags.values())): value for name, value, tags in told}  # type: ignore[attr-defined]
    assert values["flowatlas_images_total", "ok", "s3://bucket/run"] == 31
    assert values["flowatlas_images_total", "quarantined", "s3://bucket/run"] == 1
    assert values["flowatlas_stored_bytes_total", "s3://bucket/run"] == 100
    assert values["flowatlas_stage_seconds_total", "compute", "s3://bucket/run"] == 4
    depths = [value for name, value, _ in told if name == "flowatlas_units_in_hand"]
    assert depths == [1, 1, 0, 0]
    (busy,) = [value for name, value, _ in told if name == "flowatlas_device_busy"]
    assert busy == 1


def test_what_is_no_receipt_is_not_counted(told: list[object]) -> None:
    ActorMetrics("run").finished("a confirmation")
    assert not told
