import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.rate import Rate, clock


@given(st.integers(0, 10**6), st.integers(1, 1000), st.integers(1, 60), st.integers(1, 100))
def test_work_at_one_speed_has_that_rate_whatever_came_before_it(start, step, seconds, times):
    """The time until the first work is that of the workers' start, and is left out after it."""
    rate = Rate(begin=0.0)
    rate.add(float(start), step)
    for turn in range(1, times + 1):
        found = rate.add(start + float(seconds * turn), step * (turn + 1))
    assert found == pytest.approx(step / seconds)


def test_the_first_work_counts_from_the_start():
    assert Rate(begin=5.0).add(15.0, 20) == 2.0
    assert Rate(begin=5.0).add(5.0, 20) == Rate(begin=5.0).add(6.0, 0) == 0.0


def test_what_is_long_past_is_forgotten():
    rate = Rate(begin=0.0)
    for second in range(1, 1001):
        rate.add(float(second), second)
    for second in range(1001, 1401):
        found = rate.add(float(second), 1000 + 10 * (second - 1000))
    assert found == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (59.6, "1:00"), (3 * 3600 + 61, "3:01:01")]
)
def test_a_time_is_shown_like_a_clock(seconds, shown):
    assert clock(seconds) == shown
