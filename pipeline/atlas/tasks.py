"""Dask tasks: add units to a state (first pass), project their pooled maps (second pass).

A task gets an order and units, opens the run by its URI, and returns sums. It may be repeated: it
writes only chunks of pooled maps, the same bytes each time. ``seen`` is called with the number of
rows of each block that is done; it is for tasks in threads of this process.
"""

from collections.abc import Callable, Mapping, Sequence

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
from pipeline.atlas.statistics.axes import Axes
from pipeline.atlas.statistics.block import SummaryBlock
from pipeline.atlas.statistics.columns import atlas_columns, wanted_names
from pipeline.atlas.statistics.pooled import open_pooled
from pipeline.atlas.statistics.projections import Projections, project
from pipeline.errors import ConfigError
from pipeline.store import Unit
from pipeline.store.reader import open_run

Seen = Callable[[int], None]


def nobody(rows: int) -> None:
    """Count nothing."""


MERGED_TOGETHER = 4
"""Results of the second pass kept before they are merged: merging sorts all of them."""

MOST_VALUES = 10_000
"""Most groups of an atlas."""


def add_flows(order: Order, units: Sequence[Unit], seen: Seen = nobody) -> State:
    """Return the sums of some units' maps; their pooled maps are written to the run."""
    run = open_run(order.uri)
    total, statistics = state.empty(run.spec, order.tables.cells), state.statistics_of(run.spec)
    into = open_pooled(run, order.pooled, mode="r+")
    for read, flows in flows_of(run, order, units):
        for statistic in statistics.flows:
            statistic.add(total, flows)
        write_rows(into, read, flows.pooled)
        seen(sum(map(len, read)))
    return total


def add_summary(order: Order, units: Sequence[Unit], seen: Seen = nobody) -> State:
    """Return the sums of the columns of some units' summary."""
    run = open_run(order.uri)
    total, statistics = state.empty(run.spec, order.tables.cells), state.statistics_of(run.spec)
    names = wanted_names(atlas_columns(run.spec.columns))
    for block in blocks(run, units):
        part, members = read_members(run, order, block, names)
        for statistic in statistics.summary:
            statistic.add(total, SummaryBlock(members, part))
        seen(len(part))
    return total


FIRST_PASS = {add_flows: 2 / 3, add_summary: 1 / 3}
"""The functions of the first pass, each with its share of the work.

In parallel they wait less for Python's lock than two threads that make the same short calls."""


def second_pass(
    order: Order, axes: Mapping[str, Axes], k: int, units: Sequence[Unit], seen: Seen = nobody
) -> dict[str, Projections]:
    """Return the projections of some units."""
    run = open_run(order.uri)
    pooled = open_pooled(run, order.pooled)
    found: list[dict[str, Projections]] = []
    for block in blocks(run, units):
        _, members = read_members(run, order, block)
        maps = read_rows(pooled, block)
        found.append(project(members, maps.reshape(len(maps), -1), order.tables, axes, k))
        seen(len(maps))
        if len(found) == MERGED_TOGETHER:
            found = [merge_projections(k, *found)]
    return merge_projections(k, *found)


def merge_projections(k: int, *parts: Mapping[str, Projections]) -> dict[str, Projections]:
    """Return the merged projections, table by table."""
    return {table: Projections.merged([part[table] for part in parts], k) for table in parts[0]}


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
