"""``RecordedGraphs``: a CPU's stand-in for a GPU's graphs, which forgets all but what it recorded.

Every operation of torch is recorded with the very memory that it read and wrote. A replay repeats
the operations on that memory, and runs none of the code that called them. So what such a step gets
by any other way than its inputs (a number of the host, a tensor made from a list) stays what it
was, as in a graph of a GPU.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, output))
        return output


class RecordedGraphs:
    """Records calls on a CPU; see :class:`pipeline.engine.step.graphs.Graphs`.

    ``replays`` counts; ``disturb`` is called with every output before it is returned.
    """

    def __init__(self, disturb: Callable[[Tensor], None] = lambda output: None) -> None:
        self.captures = self.replays = 0
        self._disturb = disturb

    def capture(self, call: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """Warm up, then record."""
        call()
        with _Recorder() as recorder:
            output = call()
        self.captures += 1

        def replay() -> Tensor:
            self.replays += 1
            with torch.no_grad():
                for func, args, kwargs, before in recorder.calls:
                    _again(func, args, kwargs, before)
            self._disturb(output)
            return output

        return replay


def _again(func: Any, args: Any, kwargs: Any, before: Any) -> None:
    """Repeat an operation, and put its result where it was before."""
    now = func(*args, **kwargs)
    for old, new in zip(tree_leaves(before), tree_leaves(now), strict=True):
        if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
            old.detach().copy_(new)
