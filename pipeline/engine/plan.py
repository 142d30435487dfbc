"""From rows to units: how large a unit is, and what a run will take."""

import math
from dataclasses import dataclass

from pipeline.store.layout import RunSpec

SHARD_BYTES = 128 * 2**20
MIN_UNITS = 512
MIN_UNIT_ROWS = 64

_VALUE_BYTES = 3.4
"""Measured: zstd takes a seventh off float32 statistics."""
_COLUMN_BYTES = 145
"""Measured: what a column costs a Parquet part beside its values."""


def bytes_per_image(
    layers: int, grid: tuple[int, int], dtype: str, *, flows: int = 1, channels: int = 0
) -> int:
    """Return the uncompressed bytes of one image's maps (of all its flows) and its embedding."""
    maps = layers * grid[0] * grid[1] * {"float16": 2, "float32": 4}[dtype]
    return flows * maps + 4 * channels


def choose_unit_rows(rows: int, image_bytes: int) -> int:
    """Return the rows of a unit: a power of two near 128 MiB of maps.

    Halved until the run has at least 512 units, so that many actors share the work evenly and
    little is lost when one dies, but never below 64 rows. Depends on the data alone.
    """
    unit_rows = 1 << max(0, math.floor(math.log2(SHARD_BYTES / image_bytes)))
    while unit_rows > MIN_UNIT_ROWS and math.ceil(rows / unit_rows) < MIN_UNITS:
        unit_rows //= 2
    return max(unit_rows, MIN_UNIT_ROWS)


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    ``map_bytes`` is before compression (maps shrink by a tenth to a third), ``worker_bytes`` the
    memory of one worker beside the model: a unit's maps twice over and the batches in flight.
    """

    rows: int
    units: int
    unit_rows: int
    map_bytes: int
    summary_bytes: int
    objects: int
    worker_bytes: int
    hours: float | None
    cost: float | None

    @property
    def total_bytes(self) -> int:
        """Maps and summaries together."""
        return self.map_bytes + self.summary_bytes


def plan_run(
    spec: RunSpec,
    *,
    batch_size: int,
    images_per_second: float | None = None,
    workers: int = 1,
    price_per_hour: float | None = None,
) -> Plan:
    """Estimate bytes, objects, memory, hours and cost of a run before it starts.

    Parameters
    ----------
    spec : RunSpec
    batch_size : int
    images_per_second : float, optional
        Rate of one worker; without it there is no estimate of time.
    workers : int
        Actors that work at once.
    price_per_hour : float, optional
        Of one worker, in any currency.
    """
    flows = 2 if spec.label_maps else 1
    image_bytes = bytes_per_image(
        len(spec.layers), spec.grid, spec.dtype, flows=flows, channels=spec.channels
    )
    height, width = spec.input["size"]
    floats = bytes_per_image(
        len(spec.layers), spec.grid, "float32", flows=flows, channels=spec.channels
    )
    hours = None
    if images_per_second is not None:
        # The last round of units is not shared evenly: count whole rounds of units.
        rounds = math.ceil(len(spec.units) / workers)
        busiest = min(rounds * spec.unit_rows, spec.rows)
        hours = busiest / images_per_second / 3600
    return Plan(
        rows=spec.rows,
        units=len(spec.units),
        unit_rows=spec.unit_rows,
        map_bytes=spec.rows * image_bytes,
        summary_bytes=round(
            len(spec.columns) * (spec.rows * _VALUE_BYTES + len(spec.units) * _COLUMN_BYTES)
        ),
        objects=(len(spec.arrays) + 2) * len(spec.units),
        worker_bytes=spec.unit_rows * (floats + image_bytes) + 4 * batch_size * 3 * height * width,
        hours=hours,
        cost=None if hours is None or price_per_hour is None else hours * workers * price_per_hour,
    )
