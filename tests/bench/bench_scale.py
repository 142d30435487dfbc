"""The driver's work on very large runs (``python -m tests.bench.bench_scale [ROWS] [UNITS]``).

Plans a synthetic index of ROWS images (10⁸ if not given), then resumes and finalises a run of UNITS
units (10⁵) whose objects are a byte each, on a local disk. Each step runs in a process of its own
and prints its seconds, on the clock and of the processor, and the most memory it held, less what
the libraries take.
"""

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from pipeline.engine.planning.plan import plan_run
from pipeline.engine.unit_size import choose_unit_rows
from pipeline.engine.usage.peak_memory import peak_resident
from pipeline.images import build_index
from pipeline.images.sources.leftovers import Leftovers
from pipeline.images.sources.source import Entry
from pipeline.store import Receipt, RunSpec, Spool, create_run, finalize, open_store, valid_receipts
from pipeline.store.layout import receipt_path, summary_path
from pipeline.store.receipts import stored_object
from tests.store.runs import spec_of

_CONTENT = b"1"


class Synthetic:
    """A dataset that exists in name only: a thousand classes in a thousand tar archives."""

    root = "s3://bucket/images"

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def scan(self, leftovers: Leftovers) -> Iterator[Entry]:
        """Yield an entry per image."""
        for row in range(self._rows):
            yield Entry(
                uri=f"train-{row % 1000:06d}.tar",
                offset=row * 100_000,
                length=100_000,
                label=row % 1000,
            )


def plan(rows: int) -> str:
    """Scan and plan ROWS images."""
    index = build_index(Synthetic(rows), Spool().add)  # type: ignore[arg-type]
    spec = spec_of(rows=index.rows, unit_rows=choose_unit_rows(index.rows, 4704))
    made = plan_run(spec, batch_size=64, workers=64, images_per_second=500)
    return f"{made.units:,} units of {made.unit_rows:,} rows"


def resume(folder: str, spec: RunSpec) -> str:
    """Find out what is done, as a driver does that is started again."""
    store = open_store(folder)
    create_run(store, spec, None)
    done = valid_receipts(store, spec)
    todo = [unit for unit in spec.units if unit.id not in done]
    return f"{len(done):,} done, {len(todo):,} to do"


def finish(folder: str, spec: RunSpec) -> str:
    """Write the manifest."""
    return f"{finalize(open_store(folder), spec, quarantine_limit=0.01).ok:,} images ok"


def write_units(folder: str, spec: RunSpec) -> str:
    """Write the objects and receipts of all units, without any image."""
    store = open_store(folder, create=True)
    create_run(store, spec, None)
    place = Path(folder)
    run_hash = spec.hash
    for unit in spec.units:
        paths = (*spec.shard_paths(unit.id).values(), summary_path(unit.id))
        receipt = Receipt(
            unit=unit.id,
            lo=unit.lo,
            hi=unit.hi,
            run_hash=run_hash,
            objects=tuple(stored_object(path, _CONTENT) for path in paths),
            ok=len(unit),
            quarantined=0,
            reasons={},
            host="node",
            seconds=dict.fromkeys(("fetch", "decode", "wait", "compute", "commit"), 1.0),
        )
        for path, content in (
            *((path, _CONTENT) for path in paths),
            (receipt_path(unit.id), json.dumps(asdict(receipt)).encode()),
        ):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
    return f"{len(spec.units):,} units"


def timed(step: Callable[..., str], *arguments: object) -> str:
    """Run a step and say what it took."""
    before, begin, busy = peak_resident(), time.perf_counter(), time.process_time()
    said = step(*arguments)
    wall, busy = time.perf_counter() - begin, time.process_time() - busy
    held = (peak_resident() - before) / 2**20
    return f"{step.__name__:12} {said:36} {wall:7.1f} s, {busy:7.1f} s of CPU {held:7.0f} MiB"


def main() -> None:
    """Print a line per step."""
    rows, units = (int(float(text)) for text in (*sys.argv[1:], "1e8", "1e5")[:2])
    spec = spec_of(rows=units * 1024, unit_rows=1024)
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for step, *arguments in (
            (plan, rows),
            (write_units, folder, spec),
            (resume, folder, spec),
            (finish, folder, spec),
        ):
            with ProcessPoolExecutor(1, spawn) as process:
                print(process.submit(timed, step, *arguments).result(), flush=True)


if __name__ == "__main__":
    main()
