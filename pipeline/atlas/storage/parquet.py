"""The flat side of an atlas: Parquet tables with a row per class, and of typical images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas.statistics.projections import Projections
from pipeline.atlas.statistics.ranking import Ranked
from pipeline.atlas.statistics.sums import ONE
from pipeline.store.parquet import parquet_bytes

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
    names: Sequence[str], divided: Sequence[tuple[str, str]], flat: Mapping[str, NDArray[Any]]
) -> bytes:
    """Return the Parquet table with one row per class; NaN is null.

    ``divided`` are the class of the model and the group that each row is of, if it is of both;
    ``flat`` are the columns of the statistics.
    """
    divisions = {
        name: pa.array([of[place] for of in divided], pa.string())
        for place, name in enumerate(("class_name", "group"))
        if divided
    }
    content = {
        "class": pa.array(np.arange(len(names)), pa.int32()),
        "name": pa.array(names, pa.string()),
        **divisions,
        **{name: pa.array(values, from_pandas=True) for name, values in flat.items()},
    }
    return parquet_bytes(pa.table(content))


def typical_bytes(projections: Mapping[str, Projections]) -> bytes:
    """Return the most and least typical images of every class of every table as Parquet."""
    parts = [_TYPICAL_SCHEMA.empty_table()]
    for table, found in projections.items():
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
