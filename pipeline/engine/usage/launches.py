"""``Launches``: whether a GPU is busy, or waits for this process to call it.

Calls of torch on a GPU return before the GPU has done what they ask for. Where a step has many
small kernels, the GPU is done with each before the next is called: the step is *launch-bound*, and
the GPU idle for much of it. Two CUDA events say when the GPU began a step and ended it, the host's
clock how long calling took. What the GPU does after the last call, it does without a gap.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch

from pipeline.engine.usage.clock import Clock

Settle = Callable[[Clock], None]
"""Counts what was measured."""


class Launches(Protocol):
    """Measures the steps of a device (``with launches.step(): …``)."""

    def step(self) -> AbstractContextManager[None]:
        """Measure what the block starts on the device; does not wait for it."""

    def taken(self) -> Settle:
        """Return what counts the steps measured so far, once; it waits for the device.

        ``device``: seconds from when the device began a step to when it ended it; ``launch``:
        seconds that the host needed to call it. The device was busy for at least their difference.
        """


class HostLaunches:
    """On a CPU a step is done when its calls return: there is nothing to tell apart."""

    @contextmanager
    def step(self) -> Iterator[None]:
        """Measure nothing."""
        yield

    def taken(self) -> Settle:
        """Count nothing."""
        return lambda clock: None


class CudaLaunches:
    """Measures by CUDA events; see :class:`Launches`."""

    def __init__(self) -> None:
        self._steps: list[tuple[Any, Any, float]] = []

    @contextmanager
    def step(self) -> Iterator[None]:
        """Record an event before and one after; nothing in a graph that is being captured."""
        if torch.cuda.is_current_stream_capturing():
            yield
            return
        event: Any = torch.cuda.Event
        start, end = event(enable_timing=True), event(enable_timing=True)
        begin = time.perf_counter()
        start.record()
        yield
        end.record()
        self._steps.append((start, end, time.perf_counter() - begin))

    def taken(self) -> Settle:
        """Count the steps whose events were recorded; another thread may."""
        steps, self._steps = self._steps, []

        def settle(clock: Clock) -> None:
            for start, end, host in steps:
                end.synchronize()
                clock.add("device", start.elapsed_time(end) / 1e3)
                clock.add("launch", host)

        return settle


def launches_of(device: torch.device) -> Launches:
    """Return what measures the steps of a device."""
    return CudaLaunches() if device.type == "cuda" else HostLaunches()
