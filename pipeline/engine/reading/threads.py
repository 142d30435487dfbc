"""``ThreadReaders``: threads of this process read the images."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from pipeline.engine.batch import IndexedImage, LoadedBatch, LoadedImage, load_image
from pipeline.engine.usage.clock import Clock
from pipeline.images import ImageReader


class _Batch:
    def __init__(self, rows: list[tuple[IndexedImage, Future[LoadedImage]]]) -> None:
        self._rows = rows

    def result(self) -> LoadedBatch:
        return LoadedBatch([_as_row(*row) for row in self._rows])

    def release(self) -> None:
        for _, future in self._rows:
            future.cancel()


def _as_row(row: IndexedImage, read: Future[LoadedImage]) -> LoadedImage:
    loaded = read.result()
    return loaded if loaded.image is row else loaded._replace(image=row)


class ThreadReaders:
    """Reads in threads; see :class:`pipeline.engine.reading.readers.Readers`."""

    crash_alone = False
    memory = 0

    def __init__(self, threads: ThreadPoolExecutor, reader: ImageReader) -> None:
        self._threads, self._reader = threads, reader

    def begin(
        self, images: Sequence[IndexedImage], crashing: Collection[int], clock: Clock
    ) -> _Batch:
        """Start reading a batch; an image with several rows in it is read once."""
        rows: list[tuple[IndexedImage, Future[LoadedImage]]] = []
        for row in images:
            again = rows and row.image is not None and row.image == rows[-1][0].image
            if again:
                rows.append((row, rows[-1][1]))
                continue
            read = self._threads.submit(load_image, row, self._reader, crashing, clock)
            rows.append((row, read))
        return _Batch(rows)


@contextmanager
def thread_readers(reader: ImageReader, threads: int) -> Iterator[ThreadReaders]:
    """Open ``threads`` reading threads."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
    try:
        yield ThreadReaders(pool, reader)
    finally:
        pool.shutdown(cancel_futures=True)
