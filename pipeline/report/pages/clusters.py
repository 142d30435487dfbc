"""Clusters of the images of a class by where the model looks, as the audit found them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.atlas.statistics.pooled import pooled_grid
from pipeline.audit.run import CLUSTERS
from pipeline.report.pictures.film_strips import bright
from pipeline.report.pictures.sprites import Sprite, levels, sprite
from pipeline.store import Run


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster of a class; ``share`` in [0, 1] of its images, ``wrong`` its error rate or None."""

    images: int
    share: float
    wrong: float | None


@dataclass(frozen=True)
class ClassClusters:
    """The clusters of a class, the largest first, and their mean maps in one row."""

    parts: tuple[ClusterFacts, ...]
    film: Sprite


def read_clusters(run: Run) -> dict[int, ClassClusters]:
    """Return the clusters of every class that has more than one, by class id."""
    if not run.exists(CLUSTERS):
        return {}
    found: dict[int, list[dict[str, Any]]] = {}
    for entry in run.table(CLUSTERS).sort_by("cluster").to_pylist():
        found.setdefault(entry["class"], []).append(entry)
    grid = pooled_grid(run.spec.grid)
    return {number: _drawn(parts, grid) for number, parts in found.items() if len(parts) > 1}


def _drawn(parts: list[dict[str, Any]], grid: tuple[int, int]) -> ClassClusters:
    maps = np.array([part["mean_map"] for part in parts], np.float64).reshape(-1, *grid)
    drawn = [levels(values, bright(values)) for values in maps]
    return ClassClusters(
        parts=tuple(
            ClusterFacts(part["images"], part["share"], part["error_rate"]) for part in parts
        ),
        film=sprite(np.stack(drawn), len(drawn)),
    )
