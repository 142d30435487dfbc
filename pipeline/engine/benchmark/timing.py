"""How fast steps are: taken in turn for some seconds, each to the end of what a GPU was given."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timer:
    """Times steps on a device.

    Steps are taken in turn, so that what else the machine does slows all of them, for about
    ``seconds`` each; the first time, which warms up, counts only where it alone takes that long.
    """

    device: torch.device
    seconds: float

    def rates(self, steps: Mapping[str, Callable[[], object]], images: int) -> dict[str, float]:
        """Return the images per second of each step, from its median time for ``images``."""
        times = {name: [self.once(step)] for name, step in steps.items()}
        end = time.perf_counter() + self.seconds * len(steps)
        if max(taken[0] for taken in times.values()) < self.seconds:
            times = {name: [] for name in steps}
            while time.perf_counter() < end or not all(times.values()):
                for name, step in steps.items():
                    times[name].append(self.once(step))
        return {name: images / statistics.median(taken) for name, taken in times.items()}

    def rate(self, step: Callable[[], object], images: int) -> float:
        """Return the images per second of one step."""
        return self.rates({"": step}, images)[""]

    def once(self, step: Callable[[], object]) -> float:
        """Return the seconds that a step takes once."""
        self._wait()
        begin = time.perf_counter()
        step()
        self._wait()
        return time.perf_counter() - begin

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
