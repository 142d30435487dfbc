"""Finish the sums of all tables and write them, several threads at a time.

Every thread has other arrays of Zarr to write, or other chunks of one, so the bytes are the same
for any number of them.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.state import State
from pipeline.atlas.statistics import bootstrap
from pipeline.atlas.statistics.columns import atlas_columns, finish_column
from pipeline.atlas.statistics.covariance import Axes
from pipeline.atlas.statistics.membership import Tables
from pipeline.atlas.statistics.projections import Looks
from pipeline.atlas.statistics.sums import Integer
from pipeline.atlas.storage import layout, parquet
from pipeline.atlas.storage.layout import CHUNK_COLUMNS
from pipeline.store import Column, Run

_MOST_THREADS = 4  # each holds the histograms of CHUNK_COLUMNS columns

Float = NDArray[np.float64]


@dataclass
class _Table:
    """A table that is being written: its group, what its classes are made of, what was found."""

    name: str
    group: Any
    parts: Integer
    total: Integer
    square: Integer
    moments: dict[str, tuple[Float, Float]]
    flat: dict[str, Float]


def write_tables(
    run: Run,
    folder: str,
    tables: Tables,
    total: State,
    axes: Mapping[str, Axes],
    looks: Future[dict[str, Looks]],
    workers: int | None,
) -> None:
    """Write the Zarr group and the Parquet object of every table; ``workers`` threads at most.

    ``looks`` may still be under way: what they find is written last.
    """
    kept = atlas_columns(run.spec.columns)
    opened = [_create(run, folder, tables, name, total, kept) for name in tables.names]
    with ThreadPoolExecutor(min(workers or os.cpu_count() or 1, _MOST_THREADS)) as threads:
        columns = [threads.submit(_write_columns, opened, total, *b) for b in _batches(kept)]
        others = [
            threads.submit(_write_others, run, total, table, axes[table.name]) for table in opened
        ]
        for batch in columns:
            for table, (moments, columns_of_classes) in zip(opened, batch.result(), strict=True):
                table.moments |= moments
                table.flat |= columns_of_classes
        replicates = [other.result() for other in others]
    for table, own in zip(opened, replicates, strict=True):
        found = looks.result()[table.name]
        layout.write_looks(run, table.group, found)
        layout.write_moments(table.group, table.moments)
        names = tables.members_of(table.name)
        known = axes[table.name], found, own, table.flat
        divided = tables.divided(table.name)
        content = parquet.class_bytes(names, divided, total.maps, table.parts, *known)
        run.write(layout.table_path(folder, table.name), content)


def _create(
    run: Run, folder: str, tables: Tables, name: str, total: State, kept: Sequence[Column]
) -> _Table:
    parts = tables.parts(name)
    most = int(total.maps.composed("count", parts).max(initial=0))
    group = layout.create_group(run, folder, name, tables.members_of(name), kept, most)
    sums, squares = (total.moments.composed(which, parts) for which in ("total", "square"))
    return _Table(name, group, parts, sums, squares, {}, {})


def _write_others(run: Run, total: State, table: _Table, axes: Axes) -> bootstrap.Replicates:
    """Write a table's maps, axes and replicates; return the latter."""
    layout.write_maps(run, table.group, total.maps, table.parts)
    layout.write_axes(run, table.group, axes)
    main = bootstrap.main_columns(atlas_columns(run.spec.columns))
    replicates = bootstrap.finish_replicates(total.replicates, table.parts, main)
    layout.write_replicates(table.group, replicates)
    return replicates


def _write_columns(
    opened: Sequence[_Table], total: State, first: int, some: Mapping[int, Column]
) -> list[tuple[dict[str, tuple[Float, Float]], dict[str, Float]]]:
    """Write a batch of columns of a kind; return their moments and flat columns table by table.

    ``some`` are the columns by their place in the sums, ``first`` the place within the kind.
    """
    histograms = dict(zip(some, total.histograms.of_columns(some), strict=True))
    found = []
    for table in opened:
        batch = [
            finish_column(
                column,
                reduce(np.add, (histograms[j][cells] for cells in table.parts.T)),
                table.total[:, j],
                table.square[:, j],
            )
            for j, column in some.items()
        ]
        layout.write_histograms(table.group, first, batch)
        moments = {each.column.name: (each.mean, each.variance) for each in batch}
        whole = [parquet.flat_columns(each) for each in batch if not _of_layer(each.column)]
        found.append((moments, {name: v for one in whole for name, v in one.items()}))
    return found


def _batches(kept: Sequence[Column]) -> Iterator[tuple[int, dict[int, Column]]]:
    """Yield the first place within the kind, and columns of one kind by their place in all."""
    for kind in sorted({column.kind for column in kept}):
        own = [(j, column) for j, column in enumerate(kept) if column.kind == kind]
        for first in range(0, len(own), CHUNK_COLUMNS):
            yield first, dict(own[first : first + CHUNK_COLUMNS])


def _of_layer(column: Column) -> bool:
    stem, _, layer = column.name.rpartition("_l")
    return bool(stem) and layer.isdigit()
