"""Clusters of a class, and those of them that are mostly wrong."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.audit.finding import Entry
from pipeline.audit.patterns.clustering import Cluster, Group
from pipeline.audit.shortcuts.detection import Q_LIMIT
from pipeline.audit.text.numbers import percent, rate
from pipeline.audit.text.quoting import quote

LEAST_IMAGES = 8
LEAST_ERROR = 0.3
"""By how much the error rate of a cluster must exceed that of the rest of its class."""


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


def find_clusters(groups: Sequence[Group], names: Sequence[str]) -> list[Entry]:
    """Return the clusters that are wrong far more often than the rest of their class."""
    return [
        _entry(group, cluster, names[group.number])
        for group in groups
        for cluster in group.clusters
        if _bad(group, cluster)
    ]


def _bad(group: Group, cluster: Cluster) -> bool:
    inside, outside = group.rates(cluster)
    return (
        cluster.images >= LEAST_IMAGES and cluster.q <= Q_LIMIT and inside - outside >= LEAST_ERROR
    )


def _entry(group: Group, cluster: Cluster, name: str) -> Entry:
    inside, outside = group.rates(cluster)
    return Entry(
        kind="cluster",
        number=group.number,
        statistic="error_rate",
        value=inside,
        control=outside,
        effect=inside - outside,
        q=cluster.q,
        images=cluster.images,
        severity="medium",
        sentence=f"{quote(name)} has a way of being looked at that goes wrong: {percent(inside)} "
        f"of the {cluster.images} images of one cluster are wrong, {percent(outside)} of the "
        f"others (q = {rate(cluster.q)}).",
        evidence=tuple((row, 1.0) for row in cluster.rows),
    )


def clusters_table(groups: Sequence[Group], names: Sequence[str]) -> pa.Table:
    """Return a row per class and cluster; ``mean_map`` is on the pooled grid, row by row."""
    rows = []
    for group in groups:
        everything = sum(cluster.images for cluster in group.clusters)
        for number, cluster in enumerate(group.clusters):
            inside, outside = group.rates(cluster)
            mean = cluster.total / max(1, cluster.images)
            rows.append(
                {
                    "class": group.number,
                    "class_name": names[group.number],
                    "cluster": number,
                    "images": cluster.images,
                    "share": cluster.images / max(1, everything),
                    "error_rate": _known(inside),
                    "other_error_rate": _known(outside),
                    "eigengap": group.eigengap,
                    "q": _known(cluster.q),
                    "mean_map": mean.reshape(-1).tolist(),
                }
            )
    return pa.Table.from_pylist(rows, schema=CLUSTERS_SCHEMA)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
