import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.console.rate import clock as display
from pipeline.console.step_progress import StepProgress


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_a_log_shows_the_time_left_of_each_step() -> None:
    clock, out = Clock(), io.StringIO()
    with StepProgress(Console(file=out, width=200), clock) as progress:
        progress("screen", 0, 0)
        for clock.time, done in ((100.0, 1), (110.0, 6), (120.0, 11)):  # the workers start first
            progress("screen", done, 101)
        progress.end()
        progress("report", 0, 0)
        for clock.time, done in ((121.0, 1), (140.0, 3)):
            progress("report", done, 4)
    assert out.getvalue().splitlines() == [
        "screen: 6% done, 3:10 left",
        "report: 75% done, 0:10 left",
    ]


def test_a_plan_that_turns_out_smaller_shortens_the_time_left() -> None:
    clock, out = Clock(), io.StringIO()
    with StepProgress(Console(file=out, width=200), clock) as progress:
        progress("screen", 0, 0)
        for clock.time, done, total in ((1.0, 10, 1000), (20.0, 200, 1000), (40.0, 400, 600)):
            progress("screen", done, total)
    assert out.getvalue().splitlines() == [
        "screen: 20% done, 1:20 left",
        "screen: 67% done, 0:20 left",
    ]


@given(st.integers(2, 40), st.integers(16, 500))
def test_work_at_one_speed_ends_when_it_was_first_shown_to(parts: int, seconds: int) -> None:
    clock, out = Clock(), io.StringIO()
    with StepProgress(Console(file=out, width=200), clock) as progress:
        progress("confirm", 0, 0)
        for done in range(1, parts + 1):
            clock.time += seconds
            progress("confirm", done, parts)
    left = [line.partition(", ")[2] for line in out.getvalue().splitlines()]
    assert left == [f"{display((parts - done) * seconds)} left" for done in range(2, parts)]


@pytest.mark.parametrize("done", [False, True])
def test_a_terminal_shows_the_step_at_work_and_the_time_left_as_it_shrinks(done: bool) -> None:
    clock, out = Clock(), io.StringIO()
    console = Console(file=out, width=100, force_terminal=True)
    with StepProgress(console, clock) as progress:
        progress("audit", 0, 0)
        if done:
            for clock.time, parts in ((10.0, 1), (20.0, 2)):
                progress("audit", parts, 8)
            clock.time = 25.0
        progress._bar.refresh()
    shown = out.getvalue()
    assert "audit" in shown
    assert ("0:55 left" in shown) == done
