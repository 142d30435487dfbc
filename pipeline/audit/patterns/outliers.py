"""Outliers: images where the model looks unlike it does in any other of their class."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.audit.finding import SHOWN, Finding
from pipeline.audit.patterns.clustering import ClusteredClass
from pipeline.audit.text.numbers import figure
from pipeline.audit.text.quoting import quote
from pipeline.nouns import agreeing, counted

FAR_OUT = 10.0
"""Robust z of an image's distance to its class from which it is an outlier."""

OUTLIERS_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("distance", pa.float64(), nullable=False),
        pa.field("median_distance", pa.float64(), nullable=False),
        pa.field("z", pa.float64(), nullable=False),
    ]
)


def find_outliers(classes: Sequence[ClusteredClass], names: Sequence[str]) -> list[Finding]:
    """Return the classes that have images far outside, with these images."""
    found = []
    for own in classes:
        order = np.lexsort((own.rows, -own.z))
        far = order[own.z[order] >= FAR_OUT]
        if len(far):
            found.append(_finding(own, far, names[own.class_id]))
    return found


def _finding(own: ClusteredClass, far: NDArray[np.int64], name: str) -> Finding:
    middle, nearest = float(np.median(own.distances)), float(own.distances[far].min())
    z = float(own.z[far].min())
    return Finding(
        kind="outlier",
        class_id=own.class_id,
        class_name=name,
        statistic="neighbour_distance",
        value=nearest,
        control=middle,
        effect=nearest / middle,
        z=z,
        images=len(far),
        severity="medium",
        sentence=f"{counted(len(far), 'image')} of {quote(name)} "
        f"{agreeing(len(far), 'is', 'are')} looked at unlike any other: the distance to the class "
        f"is at least {figure(nearest)} (1 is the largest possible), its median "
        f"{figure(middle)}.",
        evidence=tuple((int(own.rows[i]), float(own.distances[i])) for i in far),
    )


def outliers_table(classes: Sequence[ClusteredClass], names: Sequence[str]) -> pa.Table:
    """Return the images of every class that are farthest from its landmarks."""
    rows = []
    for own in classes:
        z, middle = own.z, float(np.median(own.distances))
        for rank, i in enumerate(np.lexsort((own.rows, -own.distances))[:SHOWN]):
            rows.append(
                {
                    "class": own.class_id,
                    "class_name": names[own.class_id],
                    "rank": rank,
                    "row": int(own.rows[i]),
                    "distance": float(own.distances[i]),
                    "median_distance": middle,
                    "z": float(z[i]),
                }
            )
    return pa.Table.from_pylist(rows, schema=OUTLIERS_SCHEMA)
