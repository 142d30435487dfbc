import io

import pytest
from rich.console import Console

from pipeline.console.step_progress import StepProgress


def test_a_log_says_how_much_of_a_step_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now, out = 0.0, io.StringIO()
    monkeypatch.setattr("pipeline.console.step_progress.time.monotonic", lambda: now)
    with StepProgress(Console(file=out, width=200)) as progress:
        progress("screen", 0, 0)
        now = 10.0
        progress("screen", 5, 100)
        now = 20.0
        progress("screen", 10, 100)
        assert out.getvalue() == "screen: 10 of 100, 3:00 left\n"
        progress("screen", 1, 4)  # the next round counts anew
        now = 60.0
        progress("screen", 2, 4)
        progress.end()
    assert out.getvalue().splitlines()[1:] == ["screen: 2 of 4, 0:40 left"]


def test_a_terminal_shows_the_step_at_work() -> None:
    out = io.StringIO()
    with StepProgress(Console(file=out, width=100, force_terminal=True)) as progress:
        progress("report", 0, 0)
    assert "report" in out.getvalue()
