"""``Waits``: where a program waits for its device, which one that is captured must not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_DEPENDENT = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_BY_MASK = {"index", "index_put", "index_put_", "_index_put_impl_"}
"""They need to know how many elements a mask selects; with integers they do not."""
_MASKS = (torch.bool, torch.uint8)


class Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within this context, collects the operations that the device is waited for.

    Attributes
    ----------
    found : list of str
        Operations whose result or shape the host must know, and copies between host and device.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = str(func).removeprefix("aten.").partition(".")[0]
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if name in _BY_MASK:
            waits = any(one is not None and one.dtype in _MASKS for one in args[1])
        else:
            waits = bool(_DEPENDENT & set(func.tags)) or _crosses(name, given, output)
        if waits and name not in self.found:
            self.found.append(name)
        return output


def _crosses(name: str, given: list[Tensor], output: Any) -> bool:
    """Whether values go from the host to the device, or back.

    Numbers of the host that become a tensor (``lift_fresh``) do so at once or later.
    """
    made = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
    devices = {one.device.type for one in [*made, *(one for one in given if one.ndim)]}
    return name == "lift_fresh" or len(devices) > 1


@contextmanager
def waits() -> Iterator[list[str]]:
    """Yield the operations of the block that its device is waited for."""
    watching = Waits()
    with watching:
        yield watching.found
