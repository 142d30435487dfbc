from dataclasses import replace

import pytest

from pipeline.engine import Measured, check_fit, plan_run
from pipeline.errors import ConfigError
from tests.store.runs import spec_of

MEASURED = Measured(
    rows=32,
    unit_rows=16,
    workers=2,
    map_bytes=50.0,
    value_bytes=10.0,
    part_bytes=1000.0,
    memory=10**9,
    images_per_second=2.0,
    start_seconds=7.0,
)


def test_time_counts_whole_rounds_of_units() -> None:
    spec = spec_of(rows=50, unit_rows=16)
    plan = plan_run(spec, batch_size=8, images_per_second=2, workers=3, price_per_hour=3)
    assert plan.units == 4
    assert plan.seconds == 32 / 2
    assert plan.cost == pytest.approx(32 / 2 / 3600 * 9)
    assert plan.puts_per_second == pytest.approx(5 * 3 * 2 / 16)
    assert plan_run(spec, batch_size=8).seconds is None


def test_measurements_are_scaled_to_the_run() -> None:
    spec = spec_of(rows=50, unit_rows=32)
    plan = plan_run(spec, batch_size=8, measured=MEASURED)
    assert plan.measured
    assert plan.map_bytes == 50 * 50
    assert plan.summary_bytes == 50 * 10 + 2 * 1000
    assert plan.total_bytes == 5000
    assert plan.seconds == 50 / 2 + 7
    maps = 4 * (2 * 3 * 4 + 2 + 1)
    assert plan.worker_bytes > 10**9 + 16 * 4 * maps
    assert plan_run(spec, batch_size=8, measured=MEASURED, images_per_second=10).seconds == 12


def test_without_measurements_the_layout_is_used() -> None:
    spec = spec_of(rows=5000, unit_rows=64)
    plain = plan_run(spec, batch_size=8)
    both = plan_run(spec_of(rows=5000, unit_rows=64, label_maps=True), batch_size=8)
    wide = plan_run(spec_of(rows=5000, unit_rows=64, channels=192), batch_size=8)
    assert 0.4 * 48 < plain.map_bytes / 5000 < 48
    assert both.map_bytes == pytest.approx(2 * plain.map_bytes)
    assert wide.map_bytes - plain.map_bytes > 5000 * 192 * 3
    assert [plan.objects // plan.units for plan in (plain, both, wide)] == [5, 7, 6]


@pytest.mark.parametrize(
    ("workers", "given", "error"),
    [
        (5, {}, "4 units of 16 rows cannot keep 5 actors busy; set unit_rows to 2 or"),
        (1, {"memory": 10**9 - 1}, "an actor will need 0.9 GiB but has only 0.9 GiB"),
        (1, {"free": 6000}, "the run will need 0.0 GB, but only 0.0 GB are free"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(
    workers: int, given: dict[str, int], error: str
) -> None:
    plan = plan_run(
        spec_of(rows=50, unit_rows=16), batch_size=8, workers=workers, measured=MEASURED
    )
    with pytest.raises(ConfigError, match=error):
        check_fit(plan, **given)
    assert len(check_fit(replace(plan, workers=1), memory=10**9 + 1, free=7001)) == 0


def test_uneven_or_tiny_units_give_warnings() -> None:
    plan = plan_run(spec_of(rows=50, unit_rows=16), batch_size=8, workers=2, images_per_second=1e4)
    uneven, many = check_fit(plan)
    assert "4 units keep 2 actors busy unevenly" in uneven
    assert "objects written is 6,250 per second" in many
