"""Clusters of a class, and those of them that are mostly wrong."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.audit.finding import Finding
from pipeline.audit.patterns.clustering import Cluster, ClusteredClass
from pipeline.audit.shortcuts.detection import Q_LIMIT
from pipeline.audit.text.numbers import percent
from pipeline.audit.text.quoting import quote
from pipeline.nouns import part_of

LEAST_IMAGES = 8
LEAST_ERROR = 0.3
"""Least excess of the error rate of a cluster over that of the rest of its class."""


CLUSTERS_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("cluster", pa.int32(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),
        pa.field("error_rate", pa.float64()),
        pa.field("other_error_rate", pa.float64()),
        pa.field("eigengap", pa.float64(), nullable=False),
        pa.field("q", pa.float64()),
        pa.field("mean_map", pa.list_(pa.float32()), nullable=False),
    ]
)


def find_clusters(classes: Sequence[ClusteredClass], names: Sequence[str]) -> list[Finding]:
    """Return the clusters that are wrong far more often than the rest of their class."""
    return [
        _finding(own, cluster, names[own.class_id])
        for own in classes
        for cluster in own.clusters
        if _goes_wrong(own, cluster)
    ]


def _goes_wrong(own: ClusteredClass, cluster: Cluster) -> bool:
    inside, outside = own.rates(cluster)
    return (
        cluster.images >= LEAST_IMAGES and cluster.q <= Q_LIMIT and inside - outside >= LEAST_ERROR
    )


def _finding(own: ClusteredClass, cluster: Cluster, name: str) -> Finding:
    inside, outside = own.rates(cluster)
    wrong = round(inside * cluster.images)
    return Finding(
        kind="cluster",
        class_id=own.class_id,
        class_name=name,
        statistic="error_rate",
        value=inside,
        control=outside,
        effect=inside - outside,
        q=cluster.q,
        images=cluster.images,
        severity="medium",
        sentence=f"{part_of(wrong, cluster.images, 'image')} of {quote(name)} "
        f"that are looked at alike are wrong, {percent(outside)} of the other images of the "
        "class.",
        evidence=tuple((row, 1.0) for row in cluster.rows),
    )


def clusters_table(classes: Sequence[ClusteredClass], names: Sequence[str]) -> pa.Table:
    """Return a row per class and cluster; ``mean_map`` is on the pooled grid, row by row."""
    rows = []
    for own in classes:
        images = sum(cluster.images for cluster in own.clusters)
        for number, cluster in enumerate(own.clusters):
            inside, outside = own.rates(cluster)
            mean = cluster.total / max(1, cluster.images)
            rows.append(
                {
                    "class": own.class_id,
                    "class_name": names[own.class_id],
                    "cluster": number,
                    "images": cluster.images,
                    "share": cluster.images / max(1, images),
                    "error_rate": _known(inside),
                    "other_error_rate": _known(outside),
                    "eigengap": own.eigengap,
                    "q": _known(cluster.q),
                    "mean_map": mean.reshape(-1).tolist(),
                }
            )
    return pa.Table.from_pylist(rows, schema=CLUSTERS_SCHEMA)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
