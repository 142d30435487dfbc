"""``Graphs``: a device's way to record calls once and to repeat them by itself."""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

_WARM = 3
"""Calls before recording, in which libraries choose their algorithms and allocate."""


class Graphs(Protocol):
    """Records calls of a device, and replays them."""

    def capture(self, call: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Return a replay of what ``call`` lets the device do.

        It works on the memory that ``call`` used when it was recorded: on what its inputs then
        hold, and into one and the same output.

        Raises
        ------
        RuntimeError
            The call does what the device cannot record.
        """


class CudaGraphs:
    """CUDA graphs, in one pool of memory, as no two are replayed at once."""

    def __init__(self) -> None:
        self._pool: Any = None

    def capture(self, call: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Warm up on a stream of its own, then record."""
        cuda: Any = torch.cuda
        beside = cuda.Stream()
        beside.wait_stream(cuda.current_stream())
        with cuda.stream(beside):
            for _ in range(_WARM):
                call()
        cuda.current_stream().wait_stream(beside)
        graph = cuda.CUDAGraph()
        self._pool = self._pool or cuda.graph_pool_handle()
        # Other threads of the worker, which commit, may use the GPU meanwhile.
        with cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = call()

        def replay() -> Tensor:
            graph.replay()
            return output

        return replay


def graphs_of(device: torch.device) -> Graphs | None:
    """Return what records the calls of a device; None for a CPU, where a call is done at once."""
    return CudaGraphs() if device.type == "cuda" else None
