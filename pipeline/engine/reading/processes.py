"""``ProcessReaders``: processes read the images, so that the worker's only computes."""

import logging
import selectors
import socket
import threading
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch

from pipeline.engine.batch import IndexedImage
from pipeline.engine.reading.fork_server import ForkServer
from pipeline.engine.reading.messages import STARTED, Answer, Settings
from pipeline.engine.reading.pending import Piece, SharedBatch
from pipeline.engine.reading.reader_process import ReaderProcess, blame_of
from pipeline.engine.reading.ring import NOTHING, Ring
from pipeline.engine.usage.clock import Clock
from pipeline.images import InputTransform

_log = logging.getLogger(__name__)

_MOST_IMAGES = 32
"""Images of a piece: a message for each image would cost the worker as much as a decoder."""

_MOST_FAILED_STARTS = 3


class ProcessReaders:
    """Reads in ``count`` processes that put pixels into a ring; see ``Readers``.

    One thread hands out pieces of batches in the order in which the batches began, and replaces
    processes that died. An image whose reader died is read again by a reader that has nothing else;
    one that crashes it again is quarantined as ``crashed``. What was only killed from outside
    (by the kernel, when memory runs out) may be tried six times.
    """

    crash_alone = True

    def __init__(self, settings: Settings, count: int) -> None:
        self._shape = settings.shape
        self._transform = InputTransform.from_dict(settings.transform)
        self._ring = Ring(self._shape)
        self._settings = replace(settings, ring=self._ring.descriptor)
        self._pieces = max(1, min(_MOST_IMAGES, self._shape.images // count))
        self._fork_server: ForkServer | None = None
        self._readers: list[ReaderProcess | None] = [None] * count
        self._begun: deque[SharedBatch] = deque()
        self._over: deque[SharedBatch] = deque()
        self._free = list(range(self._shape.slots))
        self._waiting: deque[SharedBatch] = deque()
        self._todo: deque[Piece] = deque()
        self._failed_starts = 0
        self._memory = [0] * count
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_sender.setblocking(False)
        self._closing = False
        # Kept, as building one for every message costs more than the message.
        self._watched = selectors.DefaultSelector()
        pin(self._ring)
        self._thread = threading.Thread(target=self._serve, name="readers", daemon=True)
        self._thread.start()

    @property
    def memory(self) -> int:
        """The most that the readers have held, in bytes; the ring counts once for each."""
        return sum(self._memory)

    @property
    def pids(self) -> list[int]:
        """The processes that there are now."""
        return [reader.pid for reader in self._readers if reader is not None]

    def begin(
        self, images: Sequence[IndexedImage], crashing: Collection[int], clock: Clock
    ) -> SharedBatch:
        """Start reading a batch, or let it wait for a slot of the ring."""
        batch = SharedBatch(images, crashing, clock, self._transform, self._release)
        self._begun.append(batch)
        self._wake()
        return batch

    def close(self) -> None:
        """End the processes."""
        self._closing = True
        self._wake()
        self._thread.join()
        unpin(self._ring)
        self._ring.close()
        self._wake_receiver.close()
        self._wake_sender.close()

    def _release(self, batch: SharedBatch) -> None:
        batch.over = True
        self._over.append(batch)
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # it rings already, or the readers are closed
            self._wake_sender.send(b"!")

    # All that follows runs in the thread of the readers, which alone changes their state.

    def _serve(self) -> None:
        try:
            self._watched.register(self._wake_receiver, selectors.EVENT_READ)
            self._fill()
            while not self._closing:
                self._place()
                self._hand_out()
                for key, _ in self._watched.select():
                    if key.data is None:
                        self._wake_receiver.recv(4096)
                    elif key.data in self._readers:  # no other message has shown its death
                        self._receive(key.data)
        except Exception as error:  # never leave a worker waiting
            _log.exception("the thread of the reader processes failed")
            self._fail(RuntimeError(f"reading failed: {error}"))
        finally:
            if self._fork_server is not None:
                self._fork_server.close()
            for reader in self._readers:
                if reader is not None:
                    reader.connection.close()
            self._watched.close()

    def _place(self) -> None:
        """Take back slots, and give them to the batches that have waited longest."""
        while self._over:
            self._vacate(self._over.popleft())
        while self._begun:
            self._waiting.append(self._begun.popleft())
        while self._free and self._waiting:
            batch = self._waiting.popleft()
            if not batch.over:
                slot = self._free.pop()
                batch.place_in(slot, self._ring.pixels[slot])
                self._todo.extend(batch.pieces(self._pieces))

    def _vacate(self, batch: SharedBatch) -> None:
        """Free the slot of a batch that nobody uses or fills."""
        if batch.over and not batch.in_progress and batch.slot is not None:
            self._free.append(batch.slot)
            batch.slot = None

    def _hand_out(self) -> None:
        """Give pieces to the readers that have room, those with the fewest first."""
        while self._todo:
            piece = self._todo[0]
            if piece.batch.over:
                self._todo.popleft()
                continue
            reader = self._with_room(piece)
            if reader is None:
                return
            self._todo.popleft()
            piece.batch.in_progress += 1
            try:
                reader.take(piece)
            except OSError:
                self._died(reader)

    def _with_room(self, piece: Piece) -> ReaderProcess | None:
        """Return a reader that has nothing, else one that has room."""
        if None in self._readers:
            self._fill()
        found: ReaderProcess | None = None
        for one in self._readers:
            if one is not None and one.room(piece):
                if not one.in_progress:
                    return one
                found = found or one
        return found

    def _fill(self) -> None:
        """Start the readers that are missing."""
        for number, reader in enumerate(self._readers):
            if reader is None:
                self._readers[number] = self._started(number)

    def _started(self, number: int) -> ReaderProcess | None:
        """Return a new reader, in a new fork server if the old one has died."""
        self._ring.held[number] = NOTHING
        if self._fork_server is None:
            self._fork_server = ForkServer(self._settings)
        try:
            reader = ReaderProcess(self._fork_server, number)
        except OSError:
            end = self._fork_server.end
            self._fork_server.close()
            self._fork_server = None
            _log.warning("the fork server of the reader processes %s", end)
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                self._fail(RuntimeError(f"reader processes do not start: their fork server {end}"))
            self._wake()
            return None
        self._watched.register(reader.connection, selectors.EVENT_READ, reader)
        return reader

    def _receive(self, reader: ReaderProcess) -> None:
        try:
            content = reader.connection.recv_bytes()
        except (EOFError, OSError):
            self._died(reader)
            return
        if content == STARTED:
            self._failed_starts = 0
            return
        answer = Answer.from_bytes(content)
        piece = reader.in_progress.popleft()
        self._memory[reader.number] = max(self._memory[reader.number], answer.memory)
        for stage, seconds in answer.seconds.items():
            piece.batch.clock.add(stage, seconds)
        piece.batch.in_progress -= 1
        piece.batch.received(piece.first, answer.found, answer.error)
        self._vacate(piece.batch)

    def _died(self, reader: ReaderProcess) -> None:
        """Put what a dead reader had back in front, and what it was reading in a piece alone."""
        self._watched.unregister(reader.connection)
        code = reader.status()
        held = int(self._ring.held[reader.number])
        self._readers[reader.number] = None
        _log.warning("reader process %d died: %d", reader.pid, code)
        back: list[Piece] = []
        for piece in reader.in_progress:
            piece.batch.in_progress -= 1
            if not piece.batch.over:
                back += self._again(piece, held, blame_of(code))
            self._vacate(piece.batch)
        self._todo.extendleft(reversed(back))

    def _again(self, piece: Piece, held: int, weight: int) -> Iterator[Piece]:
        """Yield what is to be read again of a dead reader's piece, suspects in pieces alone."""
        batch, first = piece.batch, (piece.batch.slot or 0) * self._shape.images
        suspects = [place for place in piece.places if first + place == held]
        if held == NOTHING:  # it died while fetching: any of them may be the cause
            suspects = list(piece.places)
            weight *= piece.alone
        for place in suspects:
            if not batch.blame(place, weight):
                yield Piece(batch, place, 1, alone=True)
        yield from batch.remaining([place for place in piece.places if place not in suspects])

    def _fail(self, error: Exception) -> None:
        pieces = [*self._todo, *(p for r in self._readers if r is not None for p in r.in_progress)]
        self._todo.clear()
        self._failed_starts = 0
        for batch in {piece.batch for piece in pieces} | {*self._waiting, *self._begun}:
            batch.fail(error)


def pin(ring: Ring) -> None:
    """Let a GPU copy from the ring by itself; nothing to do where there is none."""
    if torch.cuda.is_available():
        place, size = ring.pixels.ctypes.data, ring.pixels.nbytes
        cudart: Any = torch.cuda.cudart
        torch.cuda.check_error(cudart().cudaHostRegister(place, size, 0))


def unpin(ring: Ring) -> None:
    """Undo :func:`pin`, which must come before the memory is unmapped."""
    if torch.cuda.is_available():
        cudart: Any = torch.cuda.cudart
        cudart().cudaHostUnregister(ring.pixels.ctypes.data)


@contextmanager
def process_readers(settings: Settings, count: int) -> Iterator[ProcessReaders]:
    """Open ``count`` reader processes."""
    readers = ProcessReaders(settings, count)
    try:
        yield readers
    finally:
        readers.close()
