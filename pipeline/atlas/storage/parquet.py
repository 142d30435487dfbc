"""The flat side of an atlas: Parquet tables with a row per class, and of typical images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas.statistics.bootstrap import ACCURACY, Replicates
from pipeline.atlas.statistics.columns import ColumnStatistics, quantile
from pipeline.atlas.statistics.covariance import Axes
from pipeline.atlas.statistics.projections import Looks, bimodality
from pipeline.atlas.statistics.ranking import Ranked
from pipeline.atlas.statistics.sums import ONE, ClassSums, Integer
from pipeline.store.parquet import parquet_bytes

Float = NDArray[np.float64]
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


def class_bytes(
    names: Sequence[str],
    divided: Sequence[tuple[str, str]],
    total: ClassSums,
    parts: Integer,
    axes: Axes,
    looks: Looks,
    replicates: Replicates,
    flat: Mapping[str, Float],
) -> bytes:
    """Return the Parquet table with one row per class.

    ``divided`` are the class of the model and the group that each row is of, if it is of both;
    ``total`` are the map sums; ``flat`` the columns of :func:`flat_columns`.
    """
    labelled, correct = (total.composed(name, parts) for name in ("labelled", "correct"))
    low, high = replicates.intervals()
    intervals = {
        f"{name if name == ACCURACY else name + '_mean'}_{end}": values[j]
        for j, name in enumerate(replicates.names)
        for end, values in (("low", low), ("high", high))
    }
    numbers = {
        "accuracy": correct / np.where(labelled > 0, labelled, np.nan),
        **flat,
        **intervals,
        "axis_explained": axes.explained[:, 0],
        "bimodality": bimodality(looks.scores),
        "reliability": axes.reliability,
    }
    divisions = {
        name: pa.array([of[place] for of in divided], pa.string())
        for place, name in enumerate(("class_name", "group"))
        if divided
    }
    content = {
        "class": pa.array(np.arange(len(parts)), pa.int32()),
        "name": pa.array(names, pa.string()),
        **divisions,
        "count": pa.array(total.composed("count", parts)),
        "n_zero": pa.array(total.composed("zero", parts)[:, 1, -1]),
        "n_quarantined": pa.array(total.composed("quarantined", parts)),
        "n_labelled": pa.array(labelled),
        "n_correct": pa.array(correct),
        **{name: pa.array(values, from_pandas=True) for name, values in numbers.items()},
    }
    return parquet_bytes(pa.table(content))


def flat_columns(statistics: ColumnStatistics) -> dict[str, Float]:
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


def typical_bytes(looks: Mapping[str, Looks]) -> bytes:
    """Return the most and least typical images of every class of every table as Parquet."""
    parts = [_TYPICAL_SCHEMA.empty_table()]
    for table, found in looks.items():
        for kind, ranked in (("typical", found.typical), ("atypical", found.atypical)):
            parts.append(_ranked_table(table, kind, ranked))
    return parquet_bytes(pa.concat_tables(parts))


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
