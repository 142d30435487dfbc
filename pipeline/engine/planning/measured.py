"""What units really need: from a run's receipts, or from a sample that is run first."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from obstore.store import ObjectStore

from pipeline.config import RunConfig
from pipeline.engine.preparation import Prepared
from pipeline.engine.run import open_engine
from pipeline.engine.scheduling.interface import Job
from pipeline.engine.worker import open_flows
from pipeline.errors import RunIncomplete
from pipeline.store import (
    Receipt,
    RunSpec,
    Spool,
    create_run,
    open_store,
    valid_receipts,
)
from pipeline.store.index import box_rows, index_rows
from pipeline.store.layout import summary_path
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import open_run

_OVERLAPPED = ("fetch", "decode", "transform", "queue", "commit")
"""Stages that run in threads of their own, in parallel with computing."""

_PART_ROWS = 1_024
"""Rows above which the size of a Parquet part grows linearly."""

_UNITS_PER_WORKER = 4
"""In a sample: the first unit warms up the worker, the others are measured."""


@dataclass(frozen=True)
class Measured:
    """What the units of a run needed.

    Attributes
    ----------
    rows : int
        Images measured.
    unit_rows : int
        Rows of the largest unit among them.
    workers : int
        Workers that shared the machine.
    map_bytes : float
        Stored bytes per image of all arrays.
    value_bytes, part_bytes : float
        Stored bytes of the summary: per image, and fixed per part.
    memory : int
        Peak memory of a worker, model and libraries included, in bytes.
    images_per_second : float
        Of one worker.
    start_seconds : float
        From requesting workers to the start of the first unit; 0 if unknown.
    """

    rows: int
    unit_rows: int
    workers: int
    map_bytes: float
    value_bytes: float
    part_bytes: float
    memory: int
    images_per_second: float
    start_seconds: float = 0.0


def measure_run(uri: str, unit_rows: int) -> Measured:
    """Measure a run, finished or not, from its receipts, scaled to units of ``unit_rows``.

    Raises
    ------
    RunIncomplete
        No unit of it is done.
    """
    run = open_run(uri)
    receipts = list(valid_receipts(run.store, run.spec).values())
    if not receipts:
        raise RunIncomplete(f"no unit of {uri} is done yet; measure with --measure instead")
    # Computing or committing limits the rate; the overlapped stages run meanwhile.
    seconds = [
        max(
            sum(spent for stage, spent in receipt.seconds.items() if stage not in _OVERLAPPED),
            receipt.seconds.get("commit", 0.0),
        )
        for receipt in receipts
    ]
    rate = sum(map(_rows, receipts)) / sum(seconds)
    enough = range(-(-2 * _PART_ROWS // run.spec.unit_rows))
    parts = [run.summary_part(receipt.unit) for _, receipt in zip(enough, receipts, strict=False)]
    return _measured(receipts, pa.concat_tables(parts), unit_rows, 1, rate)


def measure_sample(config: RunConfig, prepared: Prepared, rows: int) -> Measured:
    """Run ``rows`` images, evenly spaced over the index, with this machine's workers.

    Its files are deleted. The rate is measured after each worker's first finished unit.

    Raises
    ------
    FlowatlasError
        As in a real run.
    """
    here = config.cluster.model_copy(update={"address": "local"})
    alone = config.model_copy(update={"cluster": here})
    with TemporaryDirectory(prefix="flowatlas-sample-") as folder, open_engine(alone) as engine:
        spec, parts = _sample(prepared, config, rows, engine.workers)
        create_run(open_store(folder, create=True), spec, parts)
        begin = time.perf_counter()
        receipts: list[Receipt] = []
        ends: list[float] = []
        opener = partial(open_flows, readers=config.cluster.readers)
        for receipt in engine.run(Job(folder, 1, opener), spec.units):
            receipts.append(receipt)
            ends.append(time.perf_counter() - begin)
        workers = min(engine.workers, len(receipts))
        summary = open_run(folder).summary().to_table()
    # Up to here every worker has finished about one unit.
    warm = min(workers, len(receipts) - 1)
    later = sum(map(_rows, receipts[warm:]))
    rate = later / (ends[-1] - ends[warm - 1]) / workers if warm else rows / ends[-1]
    start = max(0.0, ends[0] - _rows(receipts[0]) / rate)
    return _measured(receipts, summary, prepared.spec.unit_rows, workers, rate, start)


def _sample(
    prepared: Prepared, config: RunConfig, rows: int, workers: int
) -> tuple[RunSpec, Spool]:
    """Describe a run of evenly spaced rows, and write its index."""
    spec = prepared.spec
    taken = np.unique(np.linspace(0, spec.rows - 1, min(rows, spec.rows)).astype(np.int64))
    batch = config.flow.batch_size
    batches = max(1, round(len(taken) / batch / workers / _UNITS_PER_WORKER))
    store = prepared.parts.store if prepared.parts else open_store(config.run)
    spool = Spool()
    spool.add(0, _taken(store, index_rows, taken), _taken(store, box_rows, taken))
    spool.finish({})
    unit_rows = min(spec.unit_rows, batches * batch)
    return replace(spec, rows=len(taken), unit_rows=unit_rows, fingerprint="sample"), spool


def _taken(
    store: ObjectStore,
    between: Callable[[ObjectStore, int, int], pa.Table],
    rows: NDArray[np.int64],
) -> pa.Table:
    """Return the given rows of an index or of its boxes, numbered 0, 1, 2, …."""
    table = pa.concat_tables([between(store, int(row), int(row) + 1) for row in rows])
    numbers = pa.array(np.searchsorted(rows, table["row"].to_numpy()), pa.int64())
    return table.set_column(0, table.schema.field(0), numbers)


def _measured(
    receipts: Sequence[Receipt],
    summary: pa.Table,
    unit_rows: int,
    workers: int,
    images_per_second: float,
    start_seconds: float = 0.0,
) -> Measured:
    rows = sum(map(_rows, receipts))
    maps = sum(
        item.size
        for receipt in receipts
        for item in receipt.objects
        if item.path != summary_path(receipt.unit)
    )
    value_bytes, part_bytes = _part_size(summary, unit_rows)
    return Measured(
        rows=rows,
        unit_rows=max(map(_rows, receipts)),
        workers=workers,
        map_bytes=maps / rows,
        value_bytes=value_bytes,
        part_bytes=part_bytes,
        memory=max(receipt.memory for receipt in receipts),
        images_per_second=images_per_second,
        start_seconds=start_seconds,
    )


def _part_size(summary: pa.Table, unit_rows: int) -> tuple[float, float]:
    """Return the bytes of a part of ``unit_rows`` per row, and its fixed bytes.

    Small parts are measured directly; parts larger than the measured summary are extrapolated
    from the growth over its second half.
    """
    size = min(unit_rows, max(1, summary.num_rows // 2))
    whole = [
        len(parquet_bytes(summary.slice(lo, size).combine_chunks()))
        for lo in range(0, summary.num_rows - size + 1, size)
    ]
    small = sum(whole) / len(whole)
    if size == unit_rows or size == summary.num_rows:
        return small / size, 0.0
    large = len(parquet_bytes(summary.slice(0, 2 * size).combine_chunks()))
    growth = (large - small) / size
    return growth, small - growth * size


def _rows(receipt: Receipt) -> int:
    return receipt.hi - receipt.lo
