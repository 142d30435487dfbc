"""From a device to the host: all results of a batch in one copy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ALIGNED = 16
"""Every array begins at a multiple of so many bytes, as any type of number may."""


def to_host(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return tensors of one device as arrays of the host.

    A GPU copies them once, and is waited for once: each copy by itself would wait for all that it
    has been given to do. Arrays of tensors on a CPU share their memory.
    """
    if all(tensor.device.type == "cpu" for tensor in tensors.values()):
        return {name: tensor.numpy() for name, tensor in tensors.items()}
    return unpacked(packed(tensors).cpu(), tensors)


def packed(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the bytes of tensors one after another, uint8 (N,), each at a multiple of 16."""
    parts = []
    for tensor in tensors.values():
        content = tensor.contiguous().flatten().view(torch.uint8)
        parts += [content, content.new_zeros(-content.numel() % _ALIGNED)]
    return torch.cat(parts)


def unpacked(content: Tensor, like: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return the arrays in the bytes that :func:`packed` has made of tensors like these."""
    found, start = {}, 0
    for name, tensor in like.items():
        size = tensor.numel() * tensor.element_size()
        part = content[start : start + size].view(tensor.dtype).view(tensor.shape)
        found[name] = np.asarray(part)
        start += size + -size % _ALIGNED
    return found
