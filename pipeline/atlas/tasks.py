"""What a Dask task does: add units to a state (first look), look at their pooled maps (second).

A task gets an :class:`Order` and units, reads the run by its place, and returns sums. It may be
repeated: all it writes are chunks of pooled maps, the same bytes each time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.atlas import second, state
from pipeline.atlas.bootstrap import add_replicates, main_columns
from pipeline.atlas.columns import add_columns, atlas_columns, wanted_names
from pipeline.atlas.covariance import Axes, add_pooled
from pipeline.atlas.maps import add_maps
from pipeline.atlas.members import HEAD, Members, Tables, members_of
from pipeline.atlas.pooled import open_pooled
from pipeline.atlas.second import Looks
from pipeline.atlas.state import State
from pipeline.atlas.where import Where
from pipeline.errors import ConfigError
from pipeline.store import Run, Unit, open_run
from pipeline.store.layout import summary_path, summary_schema

Target = Literal["predicted", "label"]

BLOCK_ROWS, BLOCK_BYTES = 32_768, 160 << 20
"""Most images, and bytes of their maps, that are added together: so many that cells have several.
It holds at least a unit."""

LOOKS_TOGETHER = 8
"""Second looks at blocks that are kept until they are merged: merging sorts all they hold."""

MOST_VALUES = 10_000
"""Groups an atlas may have."""


@dataclass(frozen=True)
class Order:
    """What is asked of a run: where it is, where its pooled maps go, which tables of which images.

    ``uri`` is absolute, because a worker may have another working directory; ``target`` says of
    which class the maps are, in a run that has them of two.
    """

    uri: str
    pooled: str
    tables: Tables
    where: Where | None
    target: Target = "predicted"


def add_units(order: Order, units: Sequence[Unit]) -> State:
    """Return the state of some units; their pooled maps are written to the run."""
    run = open_run(order.uri)
    total = state.empty(run.spec, order.tables.cells)
    kept = atlas_columns(run.spec.columns)
    main = main_columns(kept)
    into = open_pooled(run, order.pooled, mode="r+")
    for block in _blocks(run, units):
        part, members = read_members(run, order, block, wanted_names(kept))
        maps, scale = _read_maps(run, order.target, block)
        pooled = add_maps(total.maps, members, maps, scale)
        del maps
        total.histograms.add(members, add_columns(total.moments, members, part, kept))
        add_replicates(total.replicates, members, part, main)
        add_pooled(total.pooled, members, pooled.reshape(len(pooled), -1))
        first = 0
        for unit in block:
            into[unit.lo : unit.hi] = pooled[first : first + len(unit)]
            first += len(unit)
    return total


def look_again(
    order: Order, axes: Mapping[str, Axes], k: int, units: Sequence[Unit]
) -> dict[str, Looks]:
    """Return what the second look finds in some units."""
    run = open_run(order.uri)
    pooled = open_pooled(run, order.pooled)
    found: list[dict[str, Looks]] = []
    for block in _blocks(run, units):
        _, members = read_members(run, order, block)
        maps = _rows(pooled, block)
        found.append(second.look(members, maps.reshape(len(maps), -1), order.tables, axes, k))
        if len(found) == LOOKS_TOGETHER:
            found = [merge_looks(k, *found)]
    return merge_looks(k, *found)


def merge_looks(k: int, *parts: Mapping[str, Looks]) -> dict[str, Looks]:
    """Return what the parts found together, table by table."""
    return {table: second.merge([part[table] for part in parts], k) for table in parts[0]}


def values_of(order: Order, column: str, units: Sequence[Unit]) -> frozenset[str]:
    """Return the values of a column of the summary or the index in some units, as text.

    Raises
    ------
    ConfigError
        There are more than ``MOST_VALUES``.
    """
    run = open_run(order.uri)
    found: set[str] = set()
    for block in _blocks(run, units):
        part = pa.concat_tables([read_part(run, unit, [column]) for unit in block])
        text = pc.unique(part[column].cast(pa.string())).drop_null()
        found.update(text.to_pylist())
        if len(found) > MOST_VALUES:
            raise ConfigError(
                f"column {column} has more than {MOST_VALUES:,} values; group by another one, or "
                "choose a range of it with --where"
            )
    return frozenset(found)


def read_members(
    run: Run, order: Order, block: Sequence[Unit], names: Sequence[str] = ()
) -> tuple[pa.Table, Members]:
    """Read columns of some units, and which cells their images are in."""
    by = (order.tables.by,) if order.tables.by else ()
    needed = dict.fromkeys([*HEAD, *by, *names, *(order.where.columns if order.where else ())])
    part = pa.concat_tables([read_part(run, unit, list(needed)) for unit in block])
    part = part.combine_chunks()
    chosen = order.where.chosen(part) if order.where else None
    return part, members_of(part, order.tables, chosen)


def read_part(run: Run, unit: Unit, names: Sequence[str]) -> pa.Table:
    """Read columns of a unit's images from the summary, or else from the index."""
    known = set(summary_schema(run.spec.columns).names)
    content = pa.BufferReader(run.read(summary_path(unit.id)))
    own = [name for name in names if name in known]
    part = pq.ParquetFile(content).read(columns=own or ["row"], use_threads=False)
    missing = [name for name in names if name not in known]
    if missing:
        index = run.index_rows(unit.lo, unit.hi)
        for name in missing:
            part = part.append_column(index.schema.field(name), index[name])
    return part


def _read_maps(
    run: Run, target: Target, block: Sequence[Unit]
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Read the maps of some units, and what they are to be multiplied by."""
    if target == "predicted":
        return _rows(run.maps, block), _rows(run.scale, block)
    maps = np.concatenate([run.read_maps(unit.lo, unit.hi, target) for unit in block])
    return maps, np.ones(maps.shape[:2], np.float32)


def _rows(array: Any, block: Sequence[Unit]) -> NDArray[Any]:
    """Read the rows of some units, one after the other: many at once only wait for each other."""
    rows = np.empty((sum(map(len, block)), *array.shape[1:]), array.dtype)
    first = 0
    for unit in block:
        rows[first : first + len(unit)] = array[unit.lo : unit.hi]
        first += len(unit)
    return rows


def _blocks(run: Run, units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Cut units into blocks of ``BLOCK_ROWS`` images, fewer if their maps are large."""
    most = min(BLOCK_ROWS, BLOCK_BYTES // (2 * len(run.spec.layers) * math.prod(run.spec.grid)))
    block: list[Unit] = []
    rows = 0
    for unit in sorted(units, key=lambda unit: unit.id):
        if block and rows + len(unit) > most:
            yield block
            block, rows = [], 0
        block.append(unit)
        rows += len(unit)
    yield block
