"""How an atlas lies on disk: one Zarr group and one flat Parquet table per table of classes.

::

    atlas/label.zarr/      mean, variance, flow_mean, flow_variance (class, layer, y, x)
                           zero, flow_zero (class, layer)
                           histogram_<kind> (column, class, bin), edges_<kind> (edge,)
                           column_mean, column_variance (column, class)
    atlas/label.parquet    one row per class; written last, so it marks the table as complete
    atlas/typical.parquet  table, class, kind, rank, row, distance
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.storage import ObjectStore as ZarrStore

from pipeline.atlas.columns import ColumnStatistics, quantile
from pipeline.atlas.maps import MapStatistics
from pipeline.atlas.sums import ONE
from pipeline.atlas.typical import Extremes, Ranked
from pipeline.measures import edges
from pipeline.store import Column, Run
from pipeline.store.objects import delete, sizes
from pipeline.store.parquet import parquet_bytes

FOLDER = "atlas"
TYPICAL = f"{FOLDER}/typical.parquet"

_CHUNK_CLASSES = 64
_MAPS = ("mean", "variance", "flow_mean", "flow_variance")
_ZEROS = ("zero", "flow_zero")
_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}

_TYPICAL_SCHEMA = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("class", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("distance", pa.float64(), nullable=False),
    ]
)


def table_path(table: str) -> str:
    """Return the path of a table's Parquet object."""
    return f"{FOLDER}/{table}.parquet"


def open_group(run: Run, table: str, mode: str = "r") -> Any:
    """Open the Zarr group of a table."""
    store = ZarrStore(run.store, read_only=mode == "r")
    return zarr.open_group(store, path=f"{FOLDER}/{table}.zarr", mode=mode)  # type: ignore[arg-type]


def clear(run: Run) -> None:
    """Delete the atlas of an earlier call, the tables that mark it as complete first."""
    for path in sorted(sizes(run.store, FOLDER), key=lambda path: not path.endswith(".parquet")):
        delete(run.store, path)


def create_group(run: Run, table: str, columns: Sequence[Column]) -> None:
    """Create a table's group and its empty histograms."""
    group = open_group(run, table, mode="w-")
    group.update_attributes(
        {
            "layers": list(run.spec.layers),
            "columns": {column.name: column.kind for column in columns},
            "value": "statistics of p = map / mass per layer, and of the accumulated map (flow_)",
        }
    )
    for kind in sorted({column.kind for column in columns}):
        scale = np.asarray(edges(kind))
        names = [column.name for column in columns if column.kind == kind]
        shape = (len(names), len(run.spec.classes), len(scale) - 1)
        _create(group, f"edges_{kind}", scale, (f"{kind}_edge",))
        group.create_array(
            f"histogram_{kind}",
            shape=shape,
            chunks=(1, *shape[1:]),
            dtype="int64",
            compressors=ZstdCodec(level=3),
            dimension_names=(f"{kind}_column", "class", f"{kind}_bin"),
            attributes={"columns": names},
        )


def write_maps(run: Run, table: str, statistics: MapStatistics) -> None:
    """Write the map statistics of a table."""
    group = open_group(run, table, mode="r+")
    for name in _MAPS:
        _create(group, name, getattr(statistics, name), ("class", "layer", "y", "x"))
    for name in _ZEROS:
        _create(group, name, getattr(statistics, name), ("class", "layer"))


def write_histograms(run: Run, table: str, group_of_columns: Sequence[ColumnStatistics]) -> None:
    """Write the histograms of some columns of a table, one chunk each."""
    group = open_group(run, table, mode="r+")
    for statistics in group_of_columns:
        array = group[f"histogram_{statistics.column.kind}"]
        position = array.attrs["columns"].index(statistics.column.name)
        array[position : position + 1] = statistics.histogram[None]


def write_classes(
    run: Run,
    table: str,
    maps: MapStatistics,
    moments: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    flat: Mapping[str, NDArray[np.float64]],
) -> None:
    """Write the columns' moments, then the Parquet table with one row per class.

    ``moments`` is column → (mean, variance); ``flat`` are the further columns of the table.
    """
    group = open_group(run, table, mode="r+")
    for i, name in enumerate(("column_mean", "column_variance")):
        values = np.stack([moment[i] for moment in moments.values()])
        _create(group, name, values, ("column", "class"))
    group.update_attributes({"moments": list(moments)})
    accuracy = maps.correct / np.where(maps.labelled > 0, maps.labelled, np.nan)
    content = {
        "class": pa.array(np.arange(len(maps.count)), pa.int32()),
        "name": pa.array(run.spec.classes, pa.string()),
        "count": pa.array(maps.count),
        "n_zero": pa.array(maps.flow_zero[:, -1]),
        "n_quarantined": pa.array(maps.quarantined),
        "n_labelled": pa.array(maps.labelled),
        "n_correct": pa.array(maps.correct),
        "accuracy": pa.array(accuracy, from_pandas=True),
        **{name: pa.array(values, from_pandas=True) for name, values in flat.items()},
    }
    run.write(table_path(table), parquet_bytes(pa.table(content)))


def flat_columns(statistics: ColumnStatistics) -> dict[str, NDArray[np.float64]]:
    """Return mean and quantiles of a column per class, named as in the Parquet table.

    The mean of a mass is its geometric mean.
    """
    name, kind = statistics.column.name, statistics.column.kind
    mean = 10.0**statistics.mean if kind == "mass" else statistics.mean
    found = {f"{name}_mean": mean}
    if kind != "flag":
        for label, q in _QUANTILES.items():
            found[f"{name}_{label}"] = quantile(statistics.histogram, kind, q)
    return found


def write_typical(run: Run, extremes: Mapping[str, Extremes]) -> None:
    """Write the most and least typical images of every class of every table."""
    parts = [_TYPICAL_SCHEMA.empty_table()]
    for table, found in extremes.items():
        for kind, ranked in (("typical", found.typical), ("atypical", found.atypical)):
            parts.append(_ranked_table(table, kind, ranked))
    run.write(TYPICAL, parquet_bytes(pa.concat_tables(parts)))


def _ranked_table(table: str, kind: str, ranked: Ranked) -> pa.Table:
    rank = np.arange(len(ranked)) - np.searchsorted(ranked.classes, ranked.classes)
    content = {
        "table": [table] * len(ranked),
        "class": ranked.classes,
        "kind": [kind] * len(ranked),
        "rank": rank,
        "row": ranked.rows,
        "distance": np.abs(ranked.keys) / float(ONE),
    }
    return pa.table(content).cast(_TYPICAL_SCHEMA)


def _create(group: Any, name: str, values: NDArray[Any], axes: tuple[str, ...]) -> None:
    chunks = (
        (min(_CHUNK_CLASSES, len(values)), *values.shape[1:])
        if axes[0] == "class"
        else values.shape
    )
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=chunks,
        dtype=values.dtype,
        compressors=ZstdCodec(level=3),
        dimension_names=axes,
    )
    array[...] = values
