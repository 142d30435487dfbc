"""``Ring``: the pixels of a few batches, in memory that processes share."""

import mmap
import os
import tempfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_READERS = 512
_HEADER = 8 * MOST_READERS
NOTHING = -1


@dataclass(frozen=True)
class Shape:
    """``slots`` batches of up to ``images`` images of ``size`` (height, width)."""

    slots: int
    images: int
    size: tuple[int, int]

    @property
    def pixels(self) -> tuple[int, ...]:
        """(slots, images, 3, H, W)."""
        return (self.slots, self.images, 3, *self.size)

    @property
    def bytes(self) -> int:
        """What the ring takes."""
        return _HEADER + self.slots * self.images * 3 * self.size[0] * self.size[1]


class Ring:
    """Memory without a name: the kernel frees it with the last process that has it open.

    Attributes
    ----------
    descriptor : int
        The file; a child process that inherits it opens the same memory with it.
    held : array of int64 (MOST_READERS,)
        What each reader is reading, so that it is known when the reader has died; else ``NOTHING``.
    pixels : array of uint8 (slots, images, 3, H, W)
    """

    def __init__(self, shape: Shape, descriptor: int | None = None) -> None:
        mine = descriptor is None
        self.descriptor = _anonymous_file(shape.bytes) if descriptor is None else descriptor
        memory = mmap.mmap(self.descriptor, shape.bytes)
        self.held: NDArray[np.int64] = np.frombuffer(memory, np.int64, MOST_READERS)
        whole: NDArray[np.uint8] = np.frombuffer(memory, np.uint8, offset=_HEADER)
        self.pixels = whole.reshape(shape.pixels)
        if mine:
            self.held[:] = NOTHING

    def close(self) -> None:
        """Close the file; the memory goes with the last array that shows it."""
        os.close(self.descriptor)


def _anonymous_file(size: int) -> int:
    # Not below /dev/shm, which containers often limit to 64 MiB.
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("flowatlas-ring")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
