"""From a device to the host: all results of a batch in one copy, beside the next batch's steps."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_ALIGNED = 16
"""Every array begins at a multiple of so many bytes, as any type of number may."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Layout:
    """What lies one after another in packed bytes: names, shapes and types of tensors."""

    parts: tuple[tuple[str, torch.Size, torch.dtype], ...]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Layout":
        """Return the layout of some tensors."""
        return cls(tuple((name, one.shape, one.dtype) for name, one in tensors.items()))


class HostCopy(Protocol):
    """Results on their way to the host."""

    def result(self) -> Arrays:
        """Wait for the arrays; call it once."""


class Copies(Protocol):
    """Brings results of a device to the host."""

    def begin(self, tensors: Mapping[str, Tensor]) -> HostCopy:
        """Begin to copy tensors that nothing will change."""

    def begin_packed(self, content: Tensor, layout: Layout) -> HostCopy:
        """Begin to copy what :func:`packed` returned, which nothing will change."""


@dataclass(frozen=True)
class _There:
    arrays: Arrays

    def result(self) -> Arrays:
        return self.arrays


class HostCopies:
    """A CPU's results are on the host; arrays share the tensors' memory."""

    def begin(self, tensors: Mapping[str, Tensor]) -> HostCopy:
        """Return the tensors as arrays."""
        return _There({name: tensor.numpy() for name, tensor in tensors.items()})

    def begin_packed(self, content: Tensor, layout: Layout) -> HostCopy:
        """Return the arrays in the packed bytes."""
        return _There(unpacked(content, layout))


class CudaCopies:
    """Copies on a stream of its own into pinned memory, while the GPU computes the next batch.

    The GPU waits for no copy, and the host for one only when it asks for the result. A buffer is
    used again once its result was taken; there are as many as there are copies at a time.
    """

    def __init__(self, device: torch.device) -> None:
        cuda: Any = torch.cuda
        self._stream = cuda.Stream(device)
        self._free: deque[Tensor] = deque()

    def begin(self, tensors: Mapping[str, Tensor]) -> HostCopy:
        """Pack the tensors and begin to copy them."""
        return self.begin_packed(packed(tensors), Layout.of(tensors))

    def begin_packed(self, content: Tensor, layout: Layout) -> HostCopy:
        """Begin to copy packed bytes once the current stream has made them."""
        buffer = self._buffer(content.numel())
        self._stream.wait_stream(torch.cuda.current_stream(content.device))
        with torch.cuda.stream(self._stream):
            buffer[: content.numel()].copy_(content, non_blocking=True)
            event: Any = torch.cuda.Event
            done = event(blocking=True)  # leaves the CPU to readers
            done.record(self._stream)
        # Its memory is given to another tensor only when the copy is done.
        content.record_stream(self._stream)
        return _OnItsWay(self, buffer, content.numel(), layout, done)

    def _buffer(self, size: int) -> Tensor:
        while self._free:  # results are taken in another thread
            buffer = self._free.popleft()
            if buffer.numel() >= size:
                return buffer
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def give_back(self, buffer: Tensor) -> None:
        """Take a buffer whose content was read."""
        self._free.append(buffer)


@dataclass(frozen=True)
class _OnItsWay:
    copies: CudaCopies
    buffer: Tensor
    size: int
    layout: Layout
    done: Any

    def result(self) -> Arrays:
        self.done.synchronize()
        content = self.buffer[: self.size].clone()
        self.copies.give_back(self.buffer)
        return unpacked(content, self.layout)


def copies_of(device: torch.device) -> Copies:
    """Return what brings the results of a device to the host."""
    return CudaCopies(device) if device.type == "cuda" else HostCopies()


def packed(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the bytes of tensors one after another, uint8 (N,), each at a multiple of 16."""
    parts = []
    for tensor in tensors.values():
        content = tensor.contiguous().flatten().view(torch.uint8)
        parts += [content, content.new_zeros(-content.numel() % _ALIGNED)]
    return torch.cat(parts)


def unpacked(content: Tensor, layout: Layout) -> Arrays:
    """Return the arrays in the bytes that :func:`packed` has made of tensors like these."""
    found, start = {}, 0
    for name, shape, dtype in layout.parts:
        size = shape.numel() * dtype.itemsize
        part = content[start : start + size].view(dtype).view(shape)
        found[name] = np.asarray(part)
        start += size + -size % _ALIGNED
    return found
