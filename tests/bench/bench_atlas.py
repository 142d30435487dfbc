"""How fast is an atlas? ``python -m tests.bench.bench_atlas FOLDER [--images N …] [--classes K]``.

Writes a synthetic run once (12 × 14 × 14 maps, 198 columns; a few real units repeated under new
labels, their maps as hard links, so that a million images take no disk and are in its cache) and
then lets the contestants read the same store, one process each, in turn:

* ``atlas``: every statistic of all three tables, written to disk.
* ``flox``: the class mean of p = map / mass per layer, alone, kept in memory; by chunks of a unit.
* ``flox-large``: the same by chunks of four units, which suits it better.

Several ``--images`` tell how time and memory grow. CPU seconds are what a busy machine still
tells, though not to a tenth; peaks include the interpreter and libraries. Not collected by pytest.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.images import INDEX_SCHEMA
from pipeline.store import Run, create_run, open_run, open_store
from pipeline.store.layout import SUCCESS, summary_path, summary_schema
from pipeline.store.objects import write
from pipeline.store.parquet import parquet_bytes

BASE_UNITS, UNIT_ROWS = 4, 512


def build(folder: Path, images: int, classes: int) -> None:
    """Write the run: the units of a small one, again and again, with labels drawn anew.

    It has no receipts, which nobody here reads.
    """
    from tests.atlas.synthetic import synthetic_run
    from tests.store.runs import spooled

    if images % UNIT_ROWS:
        raise SystemExit(f"--images must be multiples of {UNIT_ROWS}, whose units are repeated")
    small = folder.parent / f"{folder.name}-base"
    base = synthetic_run(
        small, BASE_UNITS * UNIT_ROWS, classes, layers=12, grid=(14, 14), unit_rows=UNIT_ROWS
    )
    rng = np.random.default_rng(1)
    label = rng.integers(0, classes, images).astype(np.int32)
    spec = replace(base.spec, rows=images, root=str(folder))
    index = {
        "row": np.arange(images),
        "uri": [f"{row:08d}.png" for row in range(images)],
        "offset": pa.nulls(images),
        "length": pa.nulls(images),
        "label": label,
        "split": pa.nulls(images),
    }
    store = open_store(str(folder), create=True)
    create_run(store, spec, spooled(pa.table(index).cast(INDEX_SCHEMA)))
    for unit in spec.units:
        source = base.units[unit.id % BASE_UNITS]
        own, n = label[unit.lo : unit.hi], len(unit)
        status = np.asarray(base.status[source.lo : source.hi])[:n]
        part = base.summary_part(source.id).slice(0, n)
        other = (own + rng.integers(1, classes, n)) % classes
        pred = np.where(rng.random(n) < 0.9, own, other).astype(np.int32)
        changed = {
            "row": pa.array(np.arange(unit.lo, unit.hi)),
            "label": pa.array(own),
            **{name: pa.array(pred, mask=status != 1) for name in ("pred", "target")},
            "correct": pa.array(pred == own, mask=status != 1),
        }
        columns = {name: changed.get(name, part[name]) for name in part.column_names}
        summary = pa.table(columns).cast(summary_schema(spec.columns))
        write(store, summary_path(unit.id), parquet_bytes(summary))
        shards = spec.shard_paths(unit.id).values()
        for path, own in zip(shards, base.spec.shard_paths(source.id).values(), strict=True):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).hardlink_to(small / own)
    write(store, SUCCESS, b"")


def run_atlas(run: Run, workers: int) -> None:
    from pipeline.atlas import aggregate

    aggregate(run, workers=workers)


def run_flox(run: Run, workers: int, units: int = 1) -> None:
    import dask
    import dask.array as da
    import flox

    label = run.index()["label"].to_numpy()
    maps = da.from_array(run.maps, chunks=(units * run.spec.unit_rows, *run.maps.shape[1:]))
    maps = maps.astype("float32")
    p = maps / maps.sum((2, 3), keepdims=True)
    expected = np.arange(len(run.spec.classes))
    result, *_ = flox.groupby_reduce(
        p.transpose(1, 2, 3, 0),
        label,
        func="nanmean",
        expected_groups=expected,
        method="map-reduce",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dask.compute(result, scheduler="threads", num_workers=workers)


CONTESTANTS = {"atlas": run_atlas, "flox": run_flox, "flox-large": partial(run_flox, units=4)}


def contest(name: str, folder: str, workers: int) -> None:
    """Run one contestant in this process and print its figures."""
    run = open_run(folder)
    wall, cpu = time.perf_counter(), time.process_time()
    CONTESTANTS[name](run, workers)
    print(
        json.dumps(
            {
                "wall": time.perf_counter() - wall,
                "cpu": time.process_time() - cpu,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[262_144])
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=CONTESTANTS)
    parser.add_argument("--contest", choices=CONTESTANTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contest:
        contest(given.contest, str(given.folder), given.workers)
        return
    for images in given.images:
        folder = given.folder / f"{images}-{given.classes}"
        if not (folder / SUCCESS).exists():
            build(folder, images, given.classes)
        for _ in range(given.rounds):
            for name in [given.only] if given.only else CONTESTANTS:
                compete(name, folder, images, given.workers)


def compete(name: str, folder: Path, images: int, workers: int) -> None:
    """Run one contestant in a process of its own and print its figures."""
    command = [sys.executable, "-m", "tests.bench.bench_atlas", str(folder)]
    command += ["--contest", name, "--workers", str(workers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{images:>9,} images  {name:<10}{found['wall']:7.1f} s"
        f"{found['cpu']:7.1f} CPU s{found['peak']:7.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
