"""Curves over depth: the geometry of small line charts; a template draws them as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 320.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 38.0, 8.0, 10.0, 22.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    """SVG units."""
    label: str


@dataclass(frozen=True)
class Chart:
    """One statistic over depth, ready to be drawn.

    ``line``, ``band`` and ``reference`` are SVG point lists; ``bars`` are (x, y, width, height).
    """

    title: str
    note: str
    summary: str
    """What the chart shows, in words, for readers who do not see it."""
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    line: str = ""
    band: str = ""
    reference: str = ""
    bars: tuple[tuple[float, float, float, float], ...] = ()
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM


@dataclass(frozen=True)
class Series:
    """Quantiles of one statistic for the layers of a model; NaN where it is undefined."""

    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]


def depth_chart(
    title: str, note: str, series: Series, reference: NDArray[np.float64] | None = None
) -> Chart | None:
    """Lay out a statistic over the layers, with its spread or a reference line beside it.

    Returns None if no value is defined.
    """
    layers = len(series.middle)
    parts = [series.low, series.high] + ([] if reference is None else [reference])
    known = np.concatenate(parts)
    known = known[np.isfinite(known)]
    if not np.isfinite(series.middle).any():
        return None
    ticks = nice_ticks(min(0.0, float(known.min())), float(known.max()))
    across = tuple(Tick(_across(index, layers), str(index)) for index in _marks(layers))
    up = tuple(Tick(_up(value, ticks), _label(value)) for value in ticks)
    band = _points(series.high, ticks) + _points(series.low, ticks)[::-1]
    first, last = (_label(float(series.middle[index])) for index in (0, -1))
    return Chart(
        title=title,
        note=note,
        summary=f"{title}: median {first} in layer 0, {last} in layer {layers - 1}",
        across=across,
        up=up,
        line=" ".join(_points(series.middle, ticks)),
        band=" ".join(band),
        reference="" if reference is None else " ".join(_points(reference, ticks)),
    )


def bar_chart(title: str, note: str, counts: NDArray[np.int64]) -> Chart | None:
    """Lay out how many images fall on each layer; None if there are no images."""
    total = int(counts.sum())
    if total == 0:
        return None
    shares = counts / total
    ticks = nice_ticks(0.0, float(shares.max()))
    slot = (WIDTH - LEFT - RIGHT) / len(counts)
    floor = HEIGHT - BOTTOM
    bars = tuple(
        (
            round(LEFT + slot * (index + 0.14), 2),
            round(_up(float(share), ticks), 2),
            round(slot * 0.72, 2),
            round(floor - _up(float(share), ticks), 2),
        )
        for index, share in enumerate(shares)
    )
    across = tuple(
        Tick(round(LEFT + slot * (index + 0.5), 2), str(index)) for index in _marks(len(counts))
    )
    mode = int(shares.argmax())
    return Chart(
        title=title,
        note=note,
        summary=f"{title}: most often layer {mode}, {shares[mode]:.0%} of the images",
        across=across,
        up=tuple(Tick(_up(value, ticks), f"{value:.0%}") for value in ticks),
        bars=bars,
    )


def nice_ticks(low: float, high: float) -> tuple[float, ...]:
    """Return two to six round numbers that enclose [low, high].

    A range that is nothing beside its own values counts as none.
    """
    size = max(abs(low), abs(high))
    span = high - low if high - low > 1e-9 * size else size or 1.0
    step = 10.0 ** np.floor(np.log10(span / 3))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= 4)
    start, stop = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return tuple(
        float(round(index * step, 12)) for index in np.arange(start, max(stop, start + 1) + 1)
    )


def _across(index: int, layers: int) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (index / max(layers - 1, 1)), 2)


def _up(value: float, ticks: Sequence[float]) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 2)


def _points(values: NDArray[np.float64], ticks: Sequence[float]) -> list[str]:
    return [
        f"{_across(index, len(values))},{_up(float(value), ticks)}"
        for index, value in enumerate(values)
        if np.isfinite(value)
    ]


def _marks(layers: int) -> range:
    """Choose the layers to label: all, or evenly spaced ones, at most twelve."""
    return range(0, layers, -(-layers // 12))


def _label(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "undefined"
