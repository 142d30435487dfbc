"""The images on which methods disagree most, with all of their maps."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.audit.evaluation.maps import BASELINES
from pipeline.audit.evaluation.scoring import disagreement

IMAGES = "audit/evaluation-images.parquet"

SHOWN = 8
"""Images that are kept."""

IMAGES_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("disagreement", pa.float64(), nullable=False),
        pa.field("map", pa.string(), nullable=False),
        pa.field("cells", pa.list_(pa.float32()), nullable=False),
    ]
)
"""``disagreement`` is 1 less the mean rank correlation of the methods' maps of an image;
``cells`` those of one of its maps, in row order."""

Float = NDArray[np.float64]


def images_table(maps: pa.Table) -> pa.Table:
    """Return the images whose maps agree least, the worst first.

    ``maps`` has row, map and cells. Baselines are kept beside the methods but do not count, nor
    does occlusion, which is not known of all images.
    """
    by_row: dict[int, dict[str, Float]] = {}
    for item in maps.to_pylist():
        by_row.setdefault(item["row"], {})[item["map"]] = np.array(item["cells"])
    apart = {row: _apart(own) for row, own in by_row.items()}
    known = sorted((-value, row) for row, value in apart.items() if np.isfinite(value))
    rows = [
        {"row": row, "disagreement": -value, "map": name, "cells": cells.tolist()}
        for value, row in known[:SHOWN]
        for name, cells in by_row[row].items()
    ]
    return pa.Table.from_pylist(rows, schema=IMAGES_SCHEMA)


def _apart(maps: Mapping[str, Float]) -> float:
    counted = [
        own[None]
        for name, own in sorted(maps.items())
        if name not in BASELINES and not name.startswith("occlusion")
    ]
    return float(disagreement(counted)[0]) if len(counted) > 1 else float("nan")
