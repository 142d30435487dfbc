"""The index of a run: parts of 65,536 rows, written as they are scanned, read by slices."""

import json
import logging
from collections.abc import Iterable, Iterator
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from obstore.store import LocalStore, ObjectStore

from pipeline.images import PART_ROWS
from pipeline.store.layout import BOXES, INDEX, SCAN, box_path, index_path
from pipeline.store.objects import read, sizes, write
from pipeline.store.parquet import parquet_bytes, rows_between

_log = logging.getLogger(__name__)

_ROW_GROUP = 8_192
"""What a unit reads at least: about 100 kB of URIs."""


class Spool:
    """The parts of a scan, on this machine's disk until their run is created (``$TMPDIR``).

    They do not belong into the run's folder: until the scan has ended it is unknown whether that
    run is of this dataset. The parts disappear with the object.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="flowatlas-index-")
        self.store: ObjectStore = LocalStore(self._folder.name)
        self._sizes: dict[str, int] = {}
        self._scan: dict[str, Any] = {}

    def add(self, part: int, rows: pa.Table, boxes: pa.Table) -> None:
        """Keep a part: the rows ``[part * PART_ROWS, …)`` and their boxes."""
        for path, table in ((index_path(part), rows), (box_path(part), boxes)):
            content = parquet_bytes(table, _ROW_GROUP)
            write(self.store, path, content)
            self._sizes[path] = len(content)

    def finish(self, scan: dict[str, Any]) -> None:
        """Say what the scan found (plain JSON types), by which a later one recognises it."""
        self._scan = scan

    def move_into(self, store: ObjectStore) -> None:
        """Write the parts into a run that lacks them; what was scanned goes last."""
        content = json.dumps({"scan": self._scan, "parts": self._sizes}, indent=1, sort_keys=True)
        if stored_scan(store) == self._scan and read(store, SCAN) == content.encode():
            return
        for path in self._sizes:
            write(store, path, read(self.store, path))
        write(store, SCAN, content.encode())

    def discard(self) -> None:
        """Remove the parts from this machine now: a driver that is killed later leaves nothing."""
        self._folder.cleanup()


def stored_scan(store: ObjectStore) -> dict[str, Any] | None:
    """Return what the scan of a run's index found; None unless all of its parts are there."""
    try:
        content = json.loads(read(store, SCAN))
        scan, parts = content["scan"], content["parts"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    found = {**sizes(store, INDEX), **sizes(store, BOXES)}
    whole = all(found.get(path) == size for path, size in parts.items())
    if not whole:
        _log.info("parts of the index are missing or torn: the dataset is scanned again")
    return scan if whole and isinstance(scan, dict) else None


def index_parts(store: ObjectStore) -> Iterator[pa.Table]:
    """Yield the parts of an index in order of rows."""
    for path in sorted(sizes(store, INDEX)):
        yield rows_between(store, path, 0, 2**63 - 1)


def index_rows(store: ObjectStore, lo: int, hi: int) -> pa.Table:
    """Return the index of rows ``[lo, hi)``, reading only the row groups that hold them."""
    return _between(store, index_path, lo, hi)


def index_take(store: ObjectStore, rows: Iterable[int]) -> pa.Table:
    """Return the index of some rows, in ascending order, holding one part of it at a time."""
    parts: dict[int, list[int]] = {}
    for row in sorted(set(rows)):
        parts.setdefault(row // PART_ROWS, []).append(row)
    taken = [index_rows(store, 0, 0)]
    for part, wanted in parts.items():
        lo = wanted[0]
        found = rows_between(store, index_path(part), lo, wanted[-1] + 1)
        taken.append(found.take([row - lo for row in wanted]))
    return pa.concat_tables(taken)


def box_rows(store: ObjectStore, lo: int, hi: int) -> pa.Table:
    """Return the boxes of rows ``[lo, hi)``."""
    return _between(store, box_path, lo, hi)


def _between(store: ObjectStore, path: Any, lo: int, hi: int) -> pa.Table:
    if hi <= lo:
        return rows_between(store, path(0), 0, 0)
    parts = range(lo // PART_ROWS, (hi - 1) // PART_ROWS + 1)
    return pa.concat_tables([rows_between(store, path(part), lo, hi) for part in parts])
