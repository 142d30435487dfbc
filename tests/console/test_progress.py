import io
from dataclasses import replace

import pytest
from rich.console import Console

from pipeline.console.progress import FlowProgress, _speed
from pipeline.engine import Started
from pipeline.images import Leftover
from pipeline.store import Receipt
from tests.store.runs import spec_of


def receipt_of(unit: int, lo: int, hi: int) -> Receipt:
    return Receipt(unit, lo, hi, "", (), hi - lo, 0, {})


def test_a_log_gets_a_first_and_a_last_line() -> None:
    out = io.StringIO()
    with FlowProgress(Console(file=out, width=200)) as progress:
        progress.started(
            Started(spec_of(), rows_done=16, units_todo=3, workers=2, wanted=2, threads=1)
        )
        for unit in spec_of().units[1:]:
            progress.receipt(receipt_of(unit.id, unit.lo, unit.hi))
    lines = out.getvalue().splitlines()
    assert lines[0] == "50 images in 4 units, 16 done earlier; 2 layers of 3×4 cells; 2 workers"
    assert lines[-1].startswith("50 of 50 images")
    assert "left" not in lines[-1]


def test_a_finished_run_has_no_workers_to_name() -> None:
    out = io.StringIO()
    with FlowProgress(Console(file=out, width=40)) as progress:
        progress.started(
            Started(spec_of(), rows_done=50, units_todo=0, workers=0, wanted=0, threads=0)
        )
    assert out.getvalue().startswith(
        "50 images in 4 units, all done earlier; 2 layers of 3×4 cells\n"
    )


def test_a_cluster_that_is_still_too_small_is_reported() -> None:
    out = io.StringIO()
    with FlowProgress(Console(file=out, width=200)) as progress:
        progress.started(
            Started(spec_of(), rows_done=0, units_todo=4, workers=1, wanted=3, threads=1)
        )
    assert "the cluster has room for 1 of 3 workers" in out.getvalue()


def test_unused_files_are_reported_unchanged() -> None:
    out = io.StringIO()
    spec = spec_of(leftovers=(Leftover("files that are not images", 9, ("[red]a", "b", "c")),))
    with FlowProgress(Console(file=out, width=40)) as progress:
        progress.started(Started(spec, rows_done=0, units_todo=4, workers=1, wanted=1, threads=1))
    assert "\nnot used: files that are not images: 9 ('[red]a', 'b', 'c', …)\n" in out.getvalue()


def test_time_left_is_printed_like_a_clock() -> None:
    assert _speed(12.34, 59.6) == "12.3 images/s, 1:00 left"
    assert _speed(12.34, 59.6, "rows") == "12.3 rows/s, 1:00 left"
    assert _speed(1, 3 * 3600 + 61) == "1.0 images/s, 3:01:01 left"


def test_time_left_follows_workers_that_join(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("pipeline.console.progress.time.monotonic", lambda: now)
    spec, out = spec_of(rows=10_000, unit_rows=10), io.StringIO()
    with FlowProgress(Console(file=out, width=200)) as progress:
        progress.started(
            Started(spec, rows_done=0, units_todo=1000, workers=1, wanted=1, threads=1)
        )
        for unit in spec.units[:600]:  # one worker for 1,000 s, then ten
            now += 10 if unit.id < 100 else 1
            progress.receipt(receipt_of(unit.id, unit.lo, unit.hi))
    assert "10.0 images/s, 6:44 left" in out.getvalue().splitlines()[-1]


def test_the_summary_names_rate_and_bottleneck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("pipeline.console.progress.time.monotonic", lambda: now)
    with FlowProgress(Console(file=io.StringIO())) as progress:
        assert progress.summary is None
        progress.started(
            Started(spec_of(), rows_done=16, units_todo=3, workers=2, wanted=2, threads=1, room=3)
        )
        now = 80.0
        receipt = replace(receipt_of(1, 16, 32), seconds={"compute": 9.0, "wait": 1.0})
        progress.receipt(receipt)
        assert progress.summary == (
            "16 images in 1:20, 0.2 images/s including the workers' start; compute-bound: 90% of "
            "time in compute, 10% waiting for images; more actors make it "
            "faster: there is room for 3"
        )
