from pathlib import Path

from pipeline.audit.kept_units import compute_missing
from pipeline.engine import Job, LocalEngine, OnDemand, open_flows
from tests.engine.datasets import created_run, small_config


def test_only_what_is_not_kept_is_computed_and_counted(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    prepared = created_run(config)
    receipts, shown = tmp_path / "run" / "receipts", list[tuple[int, int]]()

    def kept(number: int) -> bool:
        return (receipts / f"{number:08d}.json").exists()

    def compute(engine: LocalEngine | OnDemand) -> None:
        compute_missing(
            engine,
            Job(config.run, 1, open_flows),
            prepared.spec.units,
            lambda unit: kept(unit.id),
            lambda *counts: shown.append(counts),
        )

    compute(LocalEngine())
    assert shown == [(done, 5) for done in range(6)]
    for number in (1, 3):
        (receipts / f"{number:08d}.json").unlink()
    shown.clear()
    compute(LocalEngine())
    assert shown == [(3, 5), (4, 5), (5, 5)]

    def refused() -> LocalEngine:
        raise AssertionError("there is nothing to compute")

    shown.clear()
    compute(OnDemand(refused))
    assert shown == [(5, 5)]
