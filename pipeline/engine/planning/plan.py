"""What a run will need: units, bytes, objects, memory, time and cost."""

import math
from dataclasses import dataclass

from pipeline.engine.planning.measured import Measured
from pipeline.engine.unit_size import bytes_per_image, head_bytes
from pipeline.errors import ConfigError
from pipeline.nouns import agreeing, counted
from pipeline.store.layout import RunSpec

PUTS_PER_SECOND = 3_500
"""PUT requests per second that S3 supports for one prefix."""

_VALUE_BYTES = 3.4
"""Measured: zstd saves a seventh of float32 statistics."""
_COUNT_BYTES = 1.0  # of a bin of activations, compressed
_COLUMN_BYTES = 190
"""Measured: bytes of a column in a Parquet part in addition to its values."""
_STORED_SHARE = 0.65
"""Measured: compressed share of maps; 0.5 to 0.9, depending on method and images."""
_HELD = 5.0
"""Measured: float32 copies of a unit's maps that a worker holds, of the unit being computed and the
one being committed."""


@dataclass(frozen=True)
class Plan:
    """What a run will need.

    Attributes
    ----------
    rows, units, unit_rows : int
    workers : int
        Actors that work in parallel.
    map_bytes, summary_bytes : int
        Stored, after compression.
    objects : int
        All objects written, receipts included.
    worker_bytes : int
        Memory of one worker; without model and libraries unless ``measured``.
    measured : bool
        Whether bytes and memory come from computed units.
    images_per_second : float or None
        Of one worker.
    seconds, cost : float or None
        Including the start of the workers if measured.
    puts_per_second : float or None
        Of all workers together.
    """

    rows: int
    units: int
    unit_rows: int
    workers: int
    map_bytes: int
    summary_bytes: int
    objects: int
    worker_bytes: int
    measured: bool
    images_per_second: float | None
    seconds: float | None
    cost: float | None
    puts_per_second: float | None

    @property
    def total_bytes(self) -> int:
        """Maps and summaries together."""
        return self.map_bytes + self.summary_bytes


def plan_run(
    spec: RunSpec,
    *,
    batch_size: int,
    workers: int = 1,
    images_per_second: float | None = None,
    price_per_hour: float | None = None,
    measured: Measured | None = None,
) -> Plan:
    """Estimate bytes, objects, memory, time and cost of a run before it starts.

    Parameters
    ----------
    spec : RunSpec
    batch_size : int
    workers : int
        Actors that work in parallel.
    images_per_second : float, optional
        Rate of one worker; the measured one if not given.
    price_per_hour : float, optional
        Of one worker, in any currency.
    measured : Measured, optional
        What units of this run, or of a similar one, needed.
    """
    units = len(spec.units)
    arrays = len(spec.arrays) + len(spec.unit_arrays)
    floats = 4 * sum(math.prod(shape) for shape in spec.arrays.values())
    if measured:
        map_bytes = measured.map_bytes
        value_bytes, part_bytes = measured.value_bytes, measured.part_bytes
        more_rows = spec.unit_rows - measured.unit_rows
        held = measured.memory + more_rows * floats * _HELD
    else:
        flows = 2 if spec.label_maps else 1
        maps = bytes_per_image(len(spec.layers), spec.grid, spec.dtype, flows=flows)
        map_bytes = maps * _STORED_SHARE + 4 * spec.channels
        map_bytes += head_bytes(len(spec.head_layers), spec.heads)
        map_bytes += 4 * len(spec.classes) if spec.multi_label else 0
        map_bytes += 2 * len(spec.layers) * spec.layer_channels
        counts = sum(math.prod(shape) for shape in spec.unit_arrays.values())
        map_bytes += _COUNT_BYTES * counts / spec.unit_rows
        value_bytes = len(spec.columns) * _VALUE_BYTES
        part_bytes = len(spec.columns) * _COLUMN_BYTES
        held = spec.unit_rows * floats * _HELD + 12 * batch_size * math.prod(spec.input["size"])
    rate = images_per_second or (measured.images_per_second if measured else None)
    seconds = puts = None
    if rate is not None:
        # The last round of units is not shared evenly: count whole rounds of units.
        busiest = min(math.ceil(units / workers) * spec.unit_rows, spec.rows)
        seconds = busiest / rate + (measured.start_seconds if measured else 0.0)
        puts = (arrays + 2) * workers * rate / spec.unit_rows
    return Plan(
        rows=spec.rows,
        units=units,
        unit_rows=spec.unit_rows,
        workers=workers,
        map_bytes=round(spec.rows * map_bytes),
        summary_bytes=round(spec.rows * value_bytes + units * part_bytes),
        objects=(arrays + 2) * units,
        worker_bytes=round(held),
        measured=measured is not None,
        images_per_second=rate,
        seconds=seconds,
        cost=None
        if seconds is None or price_per_hour is None
        else seconds / 3600 * workers * price_per_hour,
        puts_per_second=puts,
    )


def check_fit(plan: Plan, *, memory: int | None = None, free: int | None = None) -> list[str]:
    """Refuse a plan that cannot work; return warnings, in sentences.

    Parameters
    ----------
    plan : Plan
    memory : int, optional
        Bytes that one worker may hold.
    free : int, optional
        Bytes that are free at the run's destination.

    Raises
    ------
    ConfigError
        Fewer units than workers, or too little memory or space.
    """
    if plan.units < plan.workers:
        raise ConfigError(
            f"{counted(plan.units, 'unit')} of {counted(plan.unit_rows, 'row')} cannot keep "
            f"{counted(plan.workers, 'actor')} busy; "
            f"set unit_rows to {max(1, plan.rows // (4 * plan.workers))} or use fewer actors"
        )
    if memory is not None and plan.worker_bytes > memory:
        raise ConfigError(
            f"an actor will need {plan.worker_bytes / 2**30:.1f} GiB but has only "
            f"{memory / 2**30:.1f} GiB; set a smaller unit_rows (now {plan.unit_rows}) or "
            "flow.batch_size"
        )
    if free is not None and plan.total_bytes > free:
        raise ConfigError(
            f"the run will need {plan.total_bytes / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are "
            "free at its destination; choose another run folder"
        )
    warnings = []
    if plan.units < 4 * plan.workers:
        warnings.append(
            f"{counted(plan.units, 'unit')} {agreeing(plan.units, 'keeps', 'keep')} "
            f"{counted(plan.workers, 'actor')} busy unevenly; set a smaller unit_rows, e.g. "
            f"{max(1, plan.rows // (8 * plan.workers))}"
        )
    if plan.puts_per_second and plan.puts_per_second > PUTS_PER_SECOND:
        warnings.append(
            f"the rate of objects written is {plan.puts_per_second:,.0f} per second, but S3 "
            f"supports {PUTS_PER_SECOND:,} per prefix; set a larger unit_rows"
        )
    return warnings
