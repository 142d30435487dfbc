"""Outliers: images that are looked at as no other of their class."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.audit.finding import SHOWN, Entry
from pipeline.audit.patterns.clustering import Group
from pipeline.audit.text.numbers import figure
from pipeline.audit.text.quoting import quote

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


def find_outliers(groups: Sequence[Group], names: Sequence[str]) -> list[Entry]:
    """Return the classes that have images far outside, with these images."""
    found = []
    for group in groups:
        order = np.lexsort((group.rows, -group.z))
        far = order[group.z[order] >= FAR_OUT]
        if len(far):
            found.append(_entry(group, far, names[group.number]))
    return found


def _entry(group: Group, far: NDArray[np.int64], name: str) -> Entry:
    middle = float(np.median(group.distances))
    return Entry(
        kind="outlier",
        number=group.number,
        statistic="neighbour_distance",
        value=float(group.distances[far].min()),
        control=middle,
        effect=float(group.distances[far].min()) / middle,
        z=float(group.z[far].min()),
        images=len(far),
        severity="medium",
        sentence=f"{len(far)} images of {quote(name)} are looked at as no other: their distance to "
        f"the class is at least {figure(float(group.distances[far].min()))} (1 is the largest "
        f"there is), its median is {figure(middle)} (z = {float(group.z[far].min()):.1f}).",
        evidence=tuple((int(group.rows[i]), float(group.distances[i])) for i in far),
    )


def outliers_table(groups: Sequence[Group], names: Sequence[str]) -> pa.Table:
    """Return the images of every class that are farthest from its landmarks."""
    rows = []
    for group in groups:
        z, middle = group.z, float(np.median(group.distances))
        for rank, i in enumerate(np.lexsort((group.rows, -group.distances))[:SHOWN]):
            rows.append(
                {
                    "class": group.number,
                    "class_name": names[group.number],
                    "rank": rank,
                    "row": int(group.rows[i]),
                    "distance": float(group.distances[i]),
                    "median_distance": middle,
                    "z": float(z[i]),
                }
            )
    return pa.Table.from_pylist(rows, schema=OUTLIERS_SCHEMA)
