"""Landmarks: a random sample of every class, and where every image lies among those of its class.

A graph of all images would need N × N distances. So only the landmarks of a class are compared
with one another; every other image is compared with the landmarks of its class.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from pipeline.atlas import TABLES, Atlas, distinct_rows
from pipeline.store import Run, Status

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

NEIGHBOURS = 5
"""The distance of an image from its class is that to its fifth nearest landmark."""


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of one class: rows (n,), and pooled, normalised flows (n, cells)."""

    class_id: int
    rows: Integer
    maps: Float

    @cached_property
    def tree(self) -> KDTree:
        """Finds the nearest ones by Hellinger distance (times √2)."""
        return KDTree(np.sqrt(self.maps))


@dataclass(frozen=True)
class ClassFlows:
    """Some images of one class: ``wrong`` is 1, 0, or -1 for unknown; flows are (n, cells)."""

    class_id: int
    rows: Integer
    wrong: Integer
    maps: Float


def choose_landmarks(atlas: Atlas) -> dict[int, Landmarks]:
    """Return the landmarks of every class with images: the random sample that its atlas holds."""
    found = {}
    for class_id in np.flatnonzero(atlas.count).tolist():
        rows, maps = atlas.sample(class_id)
        if len(rows):
            found[class_id] = Landmarks(class_id, rows, maps.reshape(len(rows), -1))
    return found


def flows_by_class(run: Run, atlas: Atlas) -> Iterator[ClassFlows]:
    """Yield the images with any mass, unit by unit and class by class.

    Of near duplicates the first one, if the run's atlas weighs images.
    """
    distinct = distinct_rows(run)
    for unit in run.units:
        by = TABLES[atlas.table]
        part = run.summary_part(unit.id, ["row", "status", "correct", by])
        group = part[by].cast("int64").fill_null(-1).to_numpy()
        right = part["correct"].cast("int8").cast("int64").fill_null(-1).to_numpy()
        wrong = np.where(right < 0, -1, 1 - right)
        flows = atlas.pooled(unit.lo, unit.hi).reshape(len(unit), -1)
        used = (part["status"].to_numpy() == Status.OK) & (flows.sum(1) > 0)
        if distinct is not None:
            used &= distinct[unit.lo : unit.hi]
        for class_id in np.unique(group[used & (group >= 0)]).tolist():
            own = used & (group == class_id)
            yield ClassFlows(class_id, part["row"].to_numpy()[own], wrong[own], flows[own])


def nearest(landmarks: Landmarks, maps: Float) -> tuple[Integer, Float]:
    """Return the nearest landmark of each map, and its Hellinger distance to the fifth nearest.

    A map that is itself a landmark does not count as its own neighbour.
    """
    near = min(NEIGHBOURS + 1, len(landmarks.rows))
    distance, place = landmarks.tree.query(np.sqrt(maps), k=near)
    distance = np.asarray(distance).reshape(len(maps), near)
    place = np.asarray(place).reshape(len(maps), near)
    itself = (distance[:, 0] == 0).astype(int)
    last = np.minimum(NEIGHBOURS - 1 + itself, near - 1)
    return place[:, 0], distance[np.arange(len(maps)), last] / np.sqrt(2)
