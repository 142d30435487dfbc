"""What a Dask task does: add units to a state (first look), look at their pooled maps (second).

A task gets an order and units, reads the run by its place, and returns sums. It may be repeated:
all it writes are chunks of pooled maps, the same bytes each time.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.atlas import state
from pipeline.atlas.blocks import (
    blocks,
    flows_of,
    read_columns,
    read_members,
    read_rows,
    write_rows,
)
from pipeline.atlas.request import Order
from pipeline.atlas.state import State
from pipeline.atlas.statistics import projections
from pipeline.atlas.statistics.bootstrap import add_replicates, main_columns
from pipeline.atlas.statistics.columns import add_columns, atlas_columns, wanted_names
from pipeline.atlas.statistics.covariance import Axes, add_pooled
from pipeline.atlas.statistics.maps import add_maps
from pipeline.atlas.statistics.pooled import open_pooled
from pipeline.atlas.statistics.projections import Looks
from pipeline.errors import ConfigError
from pipeline.store import Unit
from pipeline.store.reader import open_run

LOOKS_TOGETHER = 4
"""Second looks at blocks that are kept until they are merged: merging sorts all they hold."""

MOST_VALUES = 10_000
"""Groups an atlas may have."""


def add_flows(order: Order, units: Sequence[Unit]) -> State:
    """Return the sums of some units' maps; their pooled maps are written to the run."""
    run = open_run(order.uri)
    total = state.empty(run.spec, order.tables.cells)
    into = open_pooled(run, order.pooled, mode="r+")
    for flows in flows_of(run, order, units):
        pooled = add_maps(total.maps, flows.members, flows.maps, flows.scale)
        add_pooled(total.pooled, flows.members, pooled.reshape(len(pooled), -1))
        write_rows(into, flows.block, pooled)
    return total


def add_summary(order: Order, units: Sequence[Unit]) -> State:
    """Return the sums of the columns of some units' summary."""
    run = open_run(order.uri)
    total = state.empty(run.spec, order.tables.cells)
    kept = atlas_columns(run.spec.columns)
    main = main_columns(kept)
    for block in blocks(run, units):
        part, members = read_members(run, order, block, wanted_names(kept))
        total.histograms.add(members, add_columns(total.moments, members, part, kept))
        add_replicates(total.replicates, members, part, main)
    return total


FIRST_LOOK = {add_flows: 2 / 3, add_summary: 1 / 3}
"""What makes the state of some units, in two parts, and the share of the work that each is.

Side by side they wait less for Python's lock than two threads that issue the same short calls."""


def look_again(
    order: Order, axes: Mapping[str, Axes], k: int, units: Sequence[Unit]
) -> dict[str, Looks]:
    """Return what the second look finds in some units."""
    run = open_run(order.uri)
    pooled = open_pooled(run, order.pooled)
    found: list[dict[str, Looks]] = []
    for block in blocks(run, units):
        _, members = read_members(run, order, block)
        maps = read_rows(pooled, block)
        found.append(projections.look(members, maps.reshape(len(maps), -1), order.tables, axes, k))
        if len(found) == LOOKS_TOGETHER:
            found = [merge_looks(k, *found)]
    return merge_looks(k, *found)


def merge_looks(k: int, *parts: Mapping[str, Looks]) -> dict[str, Looks]:
    """Return what the parts found together, table by table."""
    return {table: projections.merge([part[table] for part in parts], k) for table in parts[0]}


def values_of(order: Order, column: str, units: Sequence[Unit]) -> frozenset[str]:
    """Return the values of a column of the summary or the index in some units, as text.

    Raises
    ------
    ConfigError
        There are more than ``MOST_VALUES``.
    """
    run = open_run(order.uri)
    found: set[str] = set()
    for block in blocks(run, units):
        values = read_columns(run, block, [column])[column]
        text = pc.unique(values.cast(pa.string())).drop_null()
        found.update(text.to_pylist())
        if len(found) > MOST_VALUES:
            raise ConfigError(
                f"column {column} has more than {MOST_VALUES:,} values; group by another one, or "
                "choose a range of it with --where"
            )
    return frozenset(found)
