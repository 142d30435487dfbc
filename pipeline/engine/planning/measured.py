"""What units really need: from a run's receipts, or from a sample that is run first."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from tempfile import TemporaryDirectory

import pyarrow as pa

from pipeline.config import RunConfig
from pipeline.engine.planning.sample import Sample
from pipeline.engine.preparation import Prepared
from pipeline.engine.run import open_engine
from pipeline.engine.scheduling.interface import Job
from pipeline.engine.worker import open_flows
from pipeline.errors import RunIncomplete
from pipeline.store import Receipt, valid_receipts
from pipeline.store.layout import summary_path
from pipeline.store.parquet import parquet_bytes
from pipeline.store.reader import open_run

_OVERLAPPED = (
    *("fetch", "decode", "transform", "queue", "assemble", "commit"),
    *("store", "launch", "device", "replay", "eager", "calls"),
)
"""Stages that run in parallel with computing, or that say the same time again."""

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
    stages : Mapping[str, float]
        Seconds of every stage per image; see :class:`pipeline.engine.worker.FlowWorker`.
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
    stages: Mapping[str, float] = field(default_factory=dict)


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
    rate = _rate(receipts)
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
    sample = Sample(config, prepared, rows)
    with TemporaryDirectory(prefix="flowatlas-sample-") as folder:
        return measure_workers(config, sample, len(sample), folder)


def measure_workers(config: RunConfig, sample: Sample, rows: int, folder: str) -> Measured:
    """Run ``rows`` images of a sample, repeated if it has fewer, with this machine's workers.

    Written to ``folder``, a path or a URL, where there is nothing yet; otherwise as
    :func:`measure_sample`.
    """
    here = config.cluster.model_copy(update={"address": "local"})
    alone = config.model_copy(update={"cluster": here})
    batch = config.flow.batch_size
    with open_engine(alone) as engine:
        batches = max(1, round(rows / batch / engine.workers / _UNITS_PER_WORKER))
        spec = sample.create(folder, rows, batches * batch)
        begin = time.perf_counter()
        receipts: list[Receipt] = []
        opener = partial(open_flows, readers=config.cluster.readers)
        for receipt in engine.run(Job(folder, 1, opener), spec.units):
            receipts.append(receipt)
        end = time.perf_counter() - begin
        workers = min(engine.workers, len(receipts))
        summary = open_run(folder).summary().to_table()
    # Up to here every worker has finished about one unit.
    rate = _rate(receipts[min(workers, len(receipts) - 1) :])
    start = max(0.0, end - sum(map(_seconds, receipts)) / workers)
    return _measured(receipts, summary, sample.spec.unit_rows, workers, rate, start)


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
    stages = defaultdict[str, float](float)
    for receipt in receipts:
        for stage, spent in receipt.seconds.items():
            stages[stage] += spent
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
        stages={stage: seconds / rows for stage, seconds in sorted(stages.items())},
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


def _rate(receipts: Sequence[Receipt]) -> float:
    """Return the images per second of the worker of some units."""
    return sum(map(_rows, receipts)) / sum(map(_seconds, receipts))


def _seconds(receipt: Receipt) -> float:
    """Return how long a unit keeps its worker from the next one.

    Computing or committing limits the rate; the overlapped stages run meanwhile.
    """
    ahead = sum(spent for stage, spent in receipt.seconds.items() if stage not in _OVERLAPPED)
    behind = sum(receipt.seconds.get(stage, 0.0) for stage in ("assemble", "commit"))
    return max(ahead, behind)


def _rows(receipt: Receipt) -> int:
    return receipt.hi - receipt.lo
