"""``Opening``: an engine that opens while the run is prepared."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, suppress

from pipeline.engine.scheduling.interface import Engine

_leaving: list[Future[None]] = []
"""Engines that are still being closed: only one may be open in a process at a time."""


class Opening:
    """Opens an engine in a thread; :meth:`engine` waits for it.

    Starting Ray takes seconds, most of them waiting, as does importing torch to inspect a model.
    """

    def __init__(
        self, thread: ThreadPoolExecutor, manager: Callable[[], AbstractContextManager[Engine]]
    ) -> None:
        self._thread, self._make = thread, manager
        self._manager: AbstractContextManager[Engine] | None = None
        self._opened: Future[Engine] | None = None
        self._before: tuple[Future[None], ...] = ()

    def begin(self) -> None:
        """Begin to open the engine, unless it was begun; does not wait, and raises nothing."""
        if self._opened is None:
            self._before = tuple(_leaving)
            self._opened = self._thread.submit(self._open)

    def _open(self) -> Engine:
        wait(self._before)
        manager = self._make()
        engine = manager.__enter__()
        self._manager = manager
        return engine

    def engine(self) -> Engine:
        """Return the open engine; raises what opening it raised."""
        self.begin()
        assert self._opened is not None
        return self._opened.result()

    def close(self) -> None:
        """Close the engine if it is open; wait for it if it is opening."""
        if self._opened is None:
            return
        with suppress(Exception):  # raised by ``engine``, unless nobody needed it
            self._opened.result()
        if self._manager is not None:
            self._manager.__exit__(None, None, None)
            self._manager = None

    def leave(self) -> None:
        """Close the engine once it is open, without waiting for it: the process ends after that."""
        if self._opened is not None:
            still = [future for future in _leaving if not future.done()]
            _leaving[:] = [*still, self._thread.submit(self.close)]


@contextmanager
def opening(manager: Callable[[], AbstractContextManager[Engine]]) -> Iterator[Opening]:
    """Yield an engine that can be opened ahead; it is closed however the block ends.

    An error of the block is raised at once, also while the engine is still opening.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
    ahead = Opening(thread, manager)
    try:
        yield ahead
    except BaseException:
        ahead.leave()
        raise
    else:
        ahead.close()
    finally:
        thread.shutdown(wait=False)
