"""``--debug``: logs every decision to standard error, and shows errors with their traceback."""

import logging
import sys
import traceback

from pipeline.files.urls import redacted

_LOGGED = ("pipeline", "jobs")


class _Formatter(logging.Formatter):
    """Time, level, module and message, without the secrets of a URL."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class Debug:
    """Whether ``--debug`` is on; one instance for the whole process."""

    def __init__(self) -> None:
        self.on = False
        self._handler: logging.Handler | None = None

    def set(self, on: bool) -> None:
        """Log everything to standard error, or warnings only; safe to repeat."""
        self.on = on
        handler = logging.StreamHandler(sys.stderr)
        form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if on else "warning: %(message)s"
        handler.setFormatter(_Formatter(form))
        for name in _LOGGED:
            logger = logging.getLogger(name)
            if self._handler is not None:
                logger.removeHandler(self._handler)
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG if on else logging.WARNING)
        self._handler = handler

    def print_traceback(self) -> None:
        """Print the traceback of the current exception."""
        print(redacted(traceback.format_exc()), end="", file=sys.stderr)


debug = Debug()
