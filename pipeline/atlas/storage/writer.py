"""Finish the sums of all tables and write them, several threads at a time.

Every thread has other arrays of Zarr to write, or other chunks of one, so the bytes are the same
for any number of them.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from pipeline.atlas import state
from pipeline.atlas.state import State
from pipeline.atlas.statistics.axes import Axes
from pipeline.atlas.statistics.columns import atlas_columns
from pipeline.atlas.statistics.membership import Tables
from pipeline.atlas.statistics.projections import Projections, write_projections
from pipeline.atlas.statistics.table import Table
from pipeline.atlas.storage import layout, parquet
from pipeline.store import Run

_MOST_THREADS = 4  # each holds the histograms of several columns


def write_tables(
    run: Run,
    folder: str,
    tables: Tables,
    total: State,
    axes: Mapping[str, Axes],
    projections: Future[dict[str, Projections]],
    workers: int | None,
    *,
    weighted: bool = False,
) -> None:
    """Write the Zarr group and the Parquet object of every table; ``workers`` threads at most.

    ``projections`` may still be under way: they are written last. ``weighted`` says whether images
    have weights.
    """
    columns = atlas_columns(run.spec.columns)
    opened = [
        Table(
            name=name,
            group=layout.create_group(run, folder, name, tables.members_of(name), columns),
            parts=tables.parts(name),
            axes=axes[name],
            weighted=weighted,
        )
        for name in tables.names
    ]
    flat = _write_statistics(run, total, opened, workers)
    for table, own in zip(opened, flat, strict=True):
        own |= write_projections(table, projections.result()[table.name], run.spec.grid)
        names, divided = tables.members_of(table.name), tables.divided(table.name)
        content = parquet.class_bytes(names, divided, own)
        run.write(layout.table_path(folder, table.name), content)


def _write_statistics(
    run: Run, total: State, tables: Sequence[Table], workers: int | None
) -> list[dict[str, NDArray[Any]]]:
    """Write all statistics; return the flat columns of every table, in order of the statistics.

    The last are begun first: they are the columns, which take longest.
    """
    statistics = state.statistics_of(run.spec).every
    flat: list[dict[str, NDArray[Any]]] = [{} for _ in tables]
    with ThreadPoolExecutor(min(workers or os.cpu_count() or 1, _MOST_THREADS)) as threads:
        begun = [statistic.write(total, tables, threads) for statistic in reversed(statistics)]
        for finish in reversed(begun):
            for columns, own in zip(flat, finish(), strict=True):
                columns |= own
    return flat
