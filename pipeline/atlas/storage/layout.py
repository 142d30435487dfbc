"""How an atlas lies on disk: one Zarr group and one flat Parquet table per table of classes.

::

    atlas/label.zarr/      mean, variance, flow_mean, flow_variance (class, layer, y, x)
                           zero, flow_zero (class, layer)
                           histogram_<kind> (<kind>_column, class, <kind>_bin), edges_<kind>
                           column_mean, column_variance (column, class)
                           replicates (statistic, class, replicate)
                           pooled_mean (class, pooled_y, pooled_x), reliability (class,)
                           axes (class, axis, pooled_y, pooled_x)
                           axis_variance, axis_explained (class, axis)
                           scores (class, score_bin), bimodality (class,)
                           sample_row, sample_class (sample,), sample (sample, pooled_y, pooled_x)
    atlas/label.parquet    one row per class
    atlas/typical.parquet  table, class, kind, rank, row, distance
    atlas/pooled.zarr      (image, pooled_y, pooled_x): see pipeline.atlas.pooled
    atlas/fold.state/      sums of an unfinished run
    atlas/atlas.json       what the atlas is of; written last, so it marks the atlas as complete
    atlas/NAME/…           the same of a named atlas: a subset of the images, or other groups
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.storage import ObjectStore as ZarrStore

from pipeline.atlas.statistics import maps
from pipeline.atlas.statistics.bootstrap import Replicates
from pipeline.atlas.statistics.columns import ColumnStatistics
from pipeline.atlas.statistics.covariance import Axes
from pipeline.atlas.statistics.pooled import WHOLE, pooled_grid
from pipeline.atlas.statistics.projections import SCORE_EDGES, Looks, bimodality
from pipeline.atlas.statistics.sums import ClassSums, Integer
from pipeline.errors import ConfigError
from pipeline.measures import edges
from pipeline.store import Column, Run
from pipeline.store.objects import delete, sizes

FOLDER = "atlas"
POOLED, STATE, TYPICAL = "pooled.zarr", "fold.state", "typical.parquet"

CHUNK_COLUMNS = 8
"""Columns whose histograms are written and read together."""

_CHUNK_CLASSES = 128
_MAPS = ("mean", "variance", "flow_mean", "flow_variance")
_ZEROS = ("zero", "flow_zero")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def folder_of(name: str | None) -> str:
    """Return the folder of a named atlas, or of the run's own.

    Raises
    ------
    ConfigError
        It is no name: letters, digits, ``_`` and ``-`` only.
    """
    if name is None:
        return FOLDER
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"an atlas cannot be named {name!r}: use up to 64 letters, digits, _ and -"
        )
    return f"{FOLDER}/{name}"


def facts_path(folder: str) -> str:
    """Return the path of the object that says what an atlas is of."""
    return f"{folder}/atlas.json"


def table_path(folder: str, table: str) -> str:
    """Return the path of a table's Parquet object."""
    return f"{folder}/{table}.parquet"


def open_group(run: Run, folder: str, table: str, mode: str = "r") -> Any:
    """Open the Zarr group of a table."""
    store = ZarrStore(run.store, read_only=mode == "r")
    return zarr.open_group(store, path=f"{folder}/{table}.zarr", mode=mode)  # type: ignore[arg-type]


def clear(run: Run, folder: str, keep: Sequence[str] = ()) -> None:
    """Delete an atlas, what marks it as complete first, but for what ``keep`` names.

    Atlases of other names stay: their folders have no dot in their names.
    """
    delete(run.store, facts_path(folder))
    for path in sizes(run.store, folder):
        part = path.removeprefix(f"{folder}/").partition("/")[0]
        if "." in part and part not in keep:
            delete(run.store, path)


def write_facts(run: Run, folder: str, facts: Mapping[str, object]) -> None:
    """Say what an atlas is of, and so that it is complete."""
    run.write(facts_path(folder), json.dumps(facts, indent=1, sort_keys=True).encode())


def create_group(
    run: Run, folder: str, table: str, names: Sequence[str], columns: Sequence[Column], most: int
) -> Any:
    """Create a table's group and its empty histograms.

    ``most`` images are in a class at most: half the bytes do where that is below 2**16.
    """
    group = open_group(run, folder, table, mode="w-")
    group.update_attributes(
        {
            "layers": list(run.spec.layers),
            "classes": list(names),
            "columns": {column.name: column.kind for column in columns},
            "value": "statistics of p = map / mass per layer, and of the accumulated map (flow_)",
        }
    )
    for kind in sorted({column.kind for column in columns}):
        scale = np.asarray(edges(kind))
        own = [column.name for column in columns if column.kind == kind]
        _write(group, f"edges_{kind}", scale, (f"{kind}_edge",))
        group.create_array(
            f"histogram_{kind}",
            shape=(len(own), len(names), len(scale) - 1),
            chunks=(min(CHUNK_COLUMNS, len(own)), len(names), len(scale) - 1),
            dtype="uint16" if most < 1 << 16 else "uint32",
            compressors=ZstdCodec(level=1),
            dimension_names=(f"{kind}_column", "class", f"{kind}_bin"),
            attributes={"columns": own},
            config=WHOLE,
        )
    return group


def write_maps(run: Run, group: Any, total: ClassSums, parts: Integer) -> None:
    """Write the map statistics of the classes made of the cells ``parts``, some at a time."""
    layers, grid, count = len(run.spec.layers), run.spec.grid, len(parts)
    arrays = {n: _create(group, n, (count, layers, *grid), "float32", _AXES) for n in _MAPS}
    zeros = {n: np.empty((count, layers), np.int64) for n in _ZEROS}
    for lo in range(0, count, _CHUNK_CLASSES):
        some = slice(lo, lo + _CHUNK_CLASSES)
        finished = maps.finish_maps(total, parts[some])
        for name, array in arrays.items():
            array[some] = getattr(finished, name)
        for name, zero in zeros.items():
            zero[some] = getattr(finished, name)
    for name, zero in zeros.items():
        _write(group, name, zero, _AXES[:2])


_AXES = ("class", "layer", "y", "x")


def write_histograms(group: Any, first: int, some: Sequence[ColumnStatistics]) -> None:
    """Write the histograms of columns of one kind, from the ``first`` of the kind on."""
    array = group[f"histogram_{some[0].column.kind}"].with_config(WHOLE)
    histograms = np.empty((len(some), *array.shape[1:]), array.dtype)
    for statistics, histogram in zip(some, histograms, strict=True):
        histogram[...] = statistics.histogram
    array[first : first + len(some)] = histograms


def write_moments(
    group: Any, moments: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> None:
    """Write mean and variance of every column, one value per class."""
    for i, name in enumerate(("column_mean", "column_variance")):
        values = np.stack([moment[i] for moment in moments.values()])
        _write(group, name, values, ("column", "class"))
    group.update_attributes({"moments": list(moments)})


def write_replicates(group: Any, replicates: Replicates) -> None:
    """Write the bootstrap replicates of accuracy and column means."""
    values = replicates.means.astype(np.float32)
    _write(group, "replicates", values, ("statistic", "class", "replicate"))
    group["replicates"].update_attributes({"statistics": list(replicates.names)})


def write_axes(run: Run, group: Any, axes: Axes) -> None:
    """Write pooled means, principal axes and reliabilities."""
    grid = pooled_grid(run.spec.grid)
    cells = ("pooled_y", "pooled_x")
    _write(group, "pooled_mean", axes.mean.reshape(-1, *grid), ("class", *cells))
    shape = (*axes.variance.shape, *grid)
    _write(group, "axes", axes.axes.reshape(shape).astype(np.float32), ("class", "axis", *cells))
    _write(group, "axis_variance", axes.variance, ("class", "axis"))
    _write(group, "axis_explained", axes.explained, ("class", "axis"))
    _write(group, "reliability", axes.reliability, ("class",))


def write_looks(run: Run, group: Any, looks: Looks) -> None:
    """Write scores along the first axis and the sample."""
    grid = pooled_grid(run.spec.grid)
    _write(group, "scores", looks.scores["histogram"], ("class", "score_bin"))
    _write(group, "edges_scores", SCORE_EDGES, ("score_edge",))
    _write(group, "bimodality", bimodality(looks.scores), ("class",))
    sample = looks.sample
    _write(group, "sample_row", sample.rows, ("sample",))
    _write(group, "sample_class", sample.classes, ("sample",))
    pooled = sample.pooled.reshape(len(sample), *grid)
    _write(group, "sample", pooled, ("sample", "pooled_y", "pooled_x"))


def _write(group: Any, name: str, values: NDArray[Any], axes: tuple[str, ...]) -> None:
    _create(group, name, values.shape, values.dtype, axes)[...] = values


def _create(
    group: Any, name: str, shape: tuple[int, ...], dtype: Any, axes: tuple[str, ...]
) -> Any:
    first = min(_CHUNK_CLASSES, shape[0]) if axes == _AXES else shape[0]
    return group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, side) for side in (first, *shape[1:])),
        dtype=dtype,
        compressors=ZstdCodec(level=1),
        dimension_names=axes,
        config=WHOLE,
    )
