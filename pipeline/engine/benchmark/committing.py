"""Committing alone: shards, part and receipt of units, where the run will be."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from obstore.exceptions import BaseError

from pipeline.engine.compute import ComputedBatch, assemble
from pipeline.errors import ConfigError, first_line
from pipeline.files.urls import is_remote, local, plain
from pipeline.store import RunSpec, commit_unit, create_run, open_store
from pipeline.store.objects import delete, sizes, write

_MOST_ROWS = 4_096
_UNITS = 10_000
"""That there are numbers for; far fewer are written."""


@contextmanager
def scratch(run: str) -> Iterator[str]:
    """Yield a prefix beside a run, on its disk or in its bucket; what is written there is deleted.

    Raises
    ------
    ConfigError
        Nothing can be written there.
    """
    place = f"{run.rstrip('/')}-benchmark-{uuid4().hex[:8]}"
    before = _existing(place)
    try:
        write(open_store(place, create=True), "trial", b"")
    except (OSError, BaseError) as error:
        raise ConfigError(
            f"nothing can be written beside {plain(run)}: {first_line(error)}; check the run's "
            "place and its permissions"
        ) from error
    try:
        yield place
    finally:
        if before is None:
            store = open_store(place)
            for path in sizes(store, ""):
                delete(store, path)
        else:  # with the parents that were made for it
            shutil.rmtree(before, ignore_errors=True)


def _existing(place: str) -> Path | None:
    """Return the first folder of a local place that is not there yet; None of a URL."""
    if is_remote(place):
        return None
    path = Path(local(place)).absolute()
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    return missing[-1]


def commit_rate(
    uri: str, spec: RunSpec, computed: Sequence[ComputedBatch], unit_rows: int, seconds: float
) -> float:
    """Return the images per second at which units of ``unit_rows`` are committed to ``uri``.

    The computed batches are repeated until they fill a unit of at most 4,096 rows.
    """
    have = sum(len(batch.images) for batch in computed)
    rows = max(1, min(unit_rows, _MOST_ROWS))
    times = -(-rows // have)
    batches = [batch for _ in range(times) for batch in computed]
    rows = times * have
    many = replace(spec, rows=rows * _UNITS, unit_rows=rows, fingerprint="commit")
    store = open_store(uri, create=True)
    create_run(store, many, None)
    committed, begin = 0, time.perf_counter()
    for unit in many.units:
        commit_unit(store, many, unit, assemble(batches, many))
        committed += rows
        if time.perf_counter() - begin > seconds:
            break
    return committed / (time.perf_counter() - begin)
