"""``Readers``: what reads batches; ``ReadAhead``: the batches of a unit, read ahead."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Protocol

from pipeline.engine.batch import IndexedImage, LoadedBatch
from pipeline.engine.usage.clock import Clock

AHEAD = 3
"""Batches of a unit being read, or waiting, while one is computed."""

UNITS = 3
"""Units that may be read at once; see ``engine/ray/slots.py``."""


class PendingBatch(Protocol):
    """A batch that is being read."""

    def result(self) -> LoadedBatch:
        """Wait for all images; raises what may pass, such as a store that does not answer."""

    def release(self) -> None:
        """Give back the batch's memory, read or not; its pixels are used no more."""


class Readers(Protocol):
    """Reads images of one dataset as one model's input."""

    crash_alone: bool
    """Whether an image that kills its decoder costs nothing but itself."""

    def begin(
        self, images: Sequence[IndexedImage], crashing: Collection[int], clock: Clock
    ) -> PendingBatch:
        """Start reading a batch; rows in ``crashing`` are known to kill their reader."""

    @property
    def memory(self) -> int:
        """The most that processes beside this one have held, in bytes."""


class ReadAhead(Iterator[LoadedBatch]):
    """The batches of a unit, in order of rows, the next ones being read meanwhile.

    Batches are cut by row, unusable images included, so an image always shares its batch with the
    same images. A batch may be used until the next one is asked for.
    """

    def __init__(
        self,
        images: Sequence[IndexedImage],
        batch_size: int,
        readers: Readers,
        crashing: Collection[int],
        clock: Clock,
    ) -> None:
        cuts = range(0, len(images), batch_size)
        self._later = (readers.begin(images[i : i + batch_size], crashing, clock) for i in cuts)
        self._used: PendingBatch | None = None
        self._waiting: deque[PendingBatch] = deque()
        self._waiting.extend(islice(self._later, AHEAD))

    def __next__(self) -> LoadedBatch:
        self._release()
        if not self._waiting:
            raise StopIteration
        try:
            batch = self._waiting[0].result()
        except BaseException:
            self.close()  # the error's traceback keeps this alive, and the memory with it
            raise
        self._used = self._waiting.popleft()
        self._waiting.extend(islice(self._later, 1))
        return batch

    def close(self) -> None:
        """Stop reading."""
        self._release()
        while self._waiting:
            self._waiting.popleft().release()

    __del__ = close  # of a unit that was never computed

    def _release(self) -> None:
        if self._used is not None:
            self._used.release()
            self._used = None
