import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Series,
    bar_chart,
    depth_chart,
    nice_ticks,
)

finite = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-9)


def points(text: str) -> np.ndarray:
    return np.array([[float(part) for part in point.split(",")] for point in text.split()])


@given(finite, finite)
def test_ticks_enclose_the_values(one, other):
    low, high = min(one, other), max(one, other)
    ticks = nice_ticks(low, high)
    slack = 1e-6 * max(high - low, abs(high), 1e-12)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 7
    assert sorted(set(ticks)) == list(ticks)


def test_line_goes_from_the_left_edge_to_the_right_and_zero_lies_at_the_bottom():
    middle = np.array([0.0, 0.5, 1.0])
    chart = depth_chart("Share", "", Series(middle * 0.5, middle, middle * 1.0))
    line = points(chart.line)
    assert line[0].tolist() == [LEFT, HEIGHT - BOTTOM]
    assert line[-1].tolist() == [WIDTH - RIGHT, TOP]
    assert points(chart.band).shape == (6, 2)
    assert [tick.label for tick in chart.across] == ["0", "1", "2"]
    assert chart.summary == "Share: median 0 in layer 0, 1 in layer 2"


def test_undefined_layers_leave_a_gap_and_undefined_series_no_chart():
    middle = np.array([np.nan, 0.2, 0.4])
    chart = depth_chart("x", "", Series(middle, middle, middle), reference=np.array([0.1, 0.2, 9]))
    assert len(points(chart.line)) == 2
    assert len(points(chart.reference)) == 3
    assert "undefined" in chart.summary
    nothing = np.full(3, np.nan)
    assert depth_chart("x", "", Series(nothing, nothing, nothing), reference=middle) is None


def test_one_layer_is_a_chart_too():
    one = np.array([0.3])
    assert len(points(depth_chart("x", "", Series(one, one, one)).line)) == 1


def test_bars_are_as_high_as_their_share():
    chart = bar_chart("Convergence depth", "", np.array([1, 3, 0, 0]))
    heights = [bar[3] for bar in chart.bars]
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.05)
    assert heights[2:] == [0, 0]
    assert chart.summary == "Convergence depth: most often layer 1, 75% of the images"
    assert bar_chart("x", "", np.zeros(4, np.int64)) is None


@pytest.mark.parametrize("layers", [1, 2, 12, 13, 48, 200])
def test_at_most_twelve_layers_are_labelled(layers):
    chart = bar_chart("x", "", np.ones(layers, np.int64))
    assert 1 <= len(chart.across) <= 12
    assert chart.across[0].label == "0"
