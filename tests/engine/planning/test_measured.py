from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.engine import measure_run, measure_sample, plan_run, prepare, run_flows
from pipeline.errors import RunIncomplete
from pipeline.store import Receipt
from tests.engine.datasets import created_run, small_config, write_images


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A run of 320 images in units of 32 rows."""
    folder = tmp_path_factory.mktemp("measured")
    write_images(folder / "images", images=320)
    return small_config(folder, unit_rows=32)


@pytest.fixture(scope="module")
def actual(config: RunConfig) -> dict[str, float]:
    """The bytes that the run stored, and its peak memory."""
    receipts: list[Receipt] = []
    run_flows(config, on_receipt=receipts.append)
    return {
        "total_bytes": sum(item.size for receipt in receipts for item in receipt.objects),
        "worker_bytes": max(receipt.memory for receipt in receipts),
    }


@pytest.mark.parametrize("rows", [64, 96])
def test_a_sample_predicts_bytes_and_memory_within_ten_percent(
    config: RunConfig, actual: dict[str, float], rows: int
) -> None:
    prepared = prepare(config)
    measured = measure_sample(config, prepared, rows)
    assert (measured.rows, measured.workers) == (rows, 1)
    assert measured.images_per_second > 0
    plan = plan_run(prepared.spec, batch_size=4, measured=measured)
    for name, value in actual.items():
        assert getattr(plan, name) == pytest.approx(value, rel=0.1), name
    assert plan.seconds == pytest.approx(320 / measured.images_per_second + measured.start_seconds)


def test_a_run_with_other_units_predicts_bytes_within_ten_percent(
    config: RunConfig, actual: dict[str, float], tmp_path: Path
) -> None:
    larger = config.model_copy(update={"unit_rows": 128, "run": str(tmp_path / "larger")})
    spec = prepare(larger).spec
    plan = plan_run(spec, batch_size=4, measured=measure_run(config.run, 128))
    receipts: list[Receipt] = []
    run_flows(larger, on_receipt=receipts.append)
    stored = sum(item.size for receipt in receipts for item in receipt.objects)
    assert plan.total_bytes == pytest.approx(stored, rel=0.1)


def test_nothing_is_measured_without_a_unit(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    created_run(config)
    with pytest.raises(RunIncomplete, match=r"no unit of .* is done yet"):
        measure_run(config.run, 8)
