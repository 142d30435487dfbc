"""``aggregate``: fold a finished run into its atlas, in three passes over the units."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atlas import columns as column_sums
from pipeline.atlas import disk, maps, typical
from pipeline.atlas.columns import Binning, atlas_columns
from pipeline.atlas.fold import fold
from pipeline.atlas.maps import MapStatistics
from pipeline.atlas.members import CONFIDENT_MASS, TABLES, members_of
from pipeline.atlas.sums import ClassSums, Shapes
from pipeline.atlas.sums import merge as merge_sums
from pipeline.atlas.typical import Extremes
from pipeline.errors import ConfigError
from pipeline.measures import edges
from pipeline.store import Column, Run, Unit
from pipeline.store.layout import summary_path

STATE_BYTES = 128 << 20
"""Histograms of all classes held at once by one task; more columns take more passes."""

Sums = dict[str, ClassSums]
Tables = Sequence[str]
_PENDING_UNITS = 64
_HEAD = ["row", "status", "label", "pred", "correct"]


def aggregate(
    run: Run, tables: Tables = tuple(TABLES), workers: int | None = None, k: int = 16
) -> None:
    """Write the class statistics of a run under ``atlas/``, replacing those of an earlier call.

    The files are the same bytes for any number of workers and any order of the units.

    Parameters
    ----------
    tables
        ``label`` and/or ``predicted``: whose images a class has.
    workers
        Threads of this machine; None uses an active ``distributed`` client, or else one thread per
        processor. A worker holds about ``32 * classes * layers * cells`` bytes per table.
    k
        How many most and least typical images of each class are kept.

    Raises
    ------
    RunIncomplete
        The run is not finished.
    ConfigError
        A table is unknown, or ``k`` or ``workers`` is below 1.
    FlowatlasError
        A class has too many images for exact sums, or a label is not a class of the model.
    """
    _check(tables, workers, k)
    run.require_finished()
    disk.clear(run)
    kept = atlas_columns(run.spec.columns)
    statistics = _fold_maps(run, tables, workers)
    for table in tables:
        disk.create_group(run, table, kept)
        disk.write_maps(run, table, statistics[table])
    means = {table: statistics[table].flow_mean for table in tables}
    disk.write_typical(
        run,
        fold(
            run.units,
            partial(_find_extremes, run, means, k),
            partial(_merge_extremes, k),
            workers,
        ),
    )
    _fold_columns(run, tables, kept, statistics, workers)


def _check(tables: Tables, workers: int | None, k: int) -> None:
    unknown = [table for table in tables if table not in TABLES]
    if unknown or not tables:
        raise ConfigError(f"unknown tables {unknown}; choose from {', '.join(TABLES)}")
    if k < 1 or (workers is not None and workers < 1):
        raise ConfigError(f"k ({k}) and workers ({workers}) must be at least 1")


def _fold_maps(run: Run, tables: Tables, workers: int | None) -> dict[str, MapStatistics]:
    total = fold(run.units, partial(_sum_maps, run, tables), _merge, workers)
    return {table: maps.finish_maps(total[table]) for table in tables}


def _sum_maps(run: Run, tables: Tables, units: Sequence[Unit]) -> Sums:
    sums = _empty(run, tables, maps.shapes(len(run.spec.layers), run.spec.grid))
    for unit in units:
        members = members_of(_read(run, unit, _HEAD), tables, len(run.spec.classes))
        maps.add_maps(sums, members, run.read_maps(unit.lo, unit.hi))
    return sums


def _find_extremes(
    run: Run, means: dict[str, np.ndarray], k: int, units: Sequence[Unit]
) -> dict[str, Extremes]:
    parts = [{table: typical.no_extremes() for table in means}]
    for unit in units:
        members = members_of(_read(run, unit, _HEAD), tuple(means), len(run.spec.classes))
        parts.append(typical.unit_extremes(members, run.read_maps(unit.lo, unit.hi), means, k))
        if len(parts) > _PENDING_UNITS:
            parts = [_merge_extremes(k, *parts)]
    return _merge_extremes(k, *parts)


def _merge_extremes(k: int, *parts: dict[str, Extremes]) -> dict[str, Extremes]:
    return {t: typical.merge_extremes([part[t] for part in parts], k) for t in parts[0]}


def _fold_columns(
    run: Run,
    tables: Tables,
    kept: Sequence[Column],
    statistics: dict[str, MapStatistics],
    workers: int | None,
) -> None:
    """Count histograms a group of columns at a time, then write what became of all columns."""
    moments: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {t: {} for t in tables}
    flat: dict[str, dict[str, np.ndarray]] = {t: {} for t in tables}
    for binning in column_groups(kept, len(run.spec.classes) * len(tables), STATE_BYTES):
        leaf = partial(_sum_columns, run, tables, binning)
        total = fold(run.units, leaf, _merge, workers)
        for table in tables:
            finished = column_sums.finish_columns(total[table], binning)
            disk.write_histograms(run, table, finished)
            for item in finished:
                moments[table][item.column.name] = (item.mean, item.variance)
                if not _of_layer(item.column):
                    flat[table] |= disk.flat_columns(item)
    for table in tables:
        disk.write_classes(run, table, statistics[table], moments[table], flat[table])


def column_groups(columns: Sequence[Column], rows: int, state_bytes: int) -> Iterator[Binning]:
    """Cut columns into groups whose histograms of ``rows`` classes fit ``state_bytes``."""
    group: list[Column] = []
    used = 0
    for column in columns:
        needed = 8 * rows * (len(edges(column.kind)) + 1)
        if group and used + needed > state_bytes:
            yield Binning(tuple(group))
            group, used = [], 0
        group.append(column)
        used += needed
    yield Binning(tuple(group))


def _sum_columns(run: Run, tables: Tables, binning: Binning, units: Sequence[Unit]) -> Sums:
    sums = _empty(run, tables, binning.shapes)
    names = [column.name for column in binning.columns]
    if CONFIDENT_MASS in names:
        names += ["confidence", "mass_flow"]
    wanted = [name for name in dict.fromkeys(_HEAD + names) if name != CONFIDENT_MASS]
    for unit in units:
        part = _read(run, unit, wanted)
        members = members_of(part, tables, len(run.spec.classes))
        column_sums.add_columns(sums, members, part, binning)
    return sums


def _empty(run: Run, tables: Tables, shapes: Shapes) -> Sums:
    return {table: ClassSums(len(run.spec.classes), shapes) for table in tables}


def _merge(*parts: Sums) -> Sums:
    return {table: merge_sums([part[table] for part in parts]) for table in parts[0]}


def _read(run: Run, unit: Unit, columns: Sequence[str]) -> pa.Table:
    content = pa.BufferReader(run.read(summary_path(unit.id)))
    return pq.read_table(content, columns=list(columns), use_threads=False)


def _of_layer(column: Column) -> bool:
    stem, _, layer = column.name.rpartition("_l")
    return bool(stem) and layer.isdigit()
