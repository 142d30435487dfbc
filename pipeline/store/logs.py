"""What went wrong while a run was computed, kept beside it: one text per failure.

Nothing reads these objects but people: they belong to no receipt, fingerprint or manifest.
"""

import logging
from datetime import UTC, datetime

from obstore.store import ObjectStore

from pipeline.files.urls import redacted
from pipeline.store.layout import LOGS
from pipeline.store.objects import write

_log = logging.getLogger(__name__)

_MOST = 1000
"""Texts of one driver: a store that fails for hours must not be filled with reports of it."""


class Logs:
    """Writes failures into a run's ``logs/``; that this fails in turn stops no run."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self._written = store, 0

    def add(self, name: str, text: str) -> str | None:
        """Write a text, named by the time and ``name``; return its path, None if it was not kept.

        It is kept without secrets, as :func:`pipeline.files.urls.redacted` gives it.
        """
        if self._written >= _MOST:
            return None
        time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        path = f"{LOGS}/{time}-{name}.txt"
        try:
            write(self._store, path, redacted(text).encode())
        except Exception as error:
            self._written = _MOST  # the next one would wait as long for the same store
            _log.warning("cannot write %s, tracebacks are no longer kept: %s", path, error)
            return None
        self._written += 1
        return path
