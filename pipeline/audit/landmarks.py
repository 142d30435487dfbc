"""Landmarks: a random sample of every class, and where every image lies among those of its class.

A graph of all images would need N × N distances. So only the landmarks of a class are compared
with one another; every other image is compared with the landmarks of its class.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch.nn import functional

from pipeline.atlas import TABLES
from pipeline.store import Run, Status, Unit

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

SAMPLE = 256
"""Landmarks of a class at most."""

NEIGHBOURS = 5
"""An image is as far out as its fifth nearest landmark is away."""

_SIDE = 7


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of one class: rows (n,), and pooled, normalised flows (n, cells)."""

    number: int
    rows: Integer
    maps: Float


@dataclass(frozen=True)
class Members:
    """Some images of one class: ``wrong`` is 1, 0, or -1 for unknown; flows are (n, cells)."""

    number: int
    rows: Integer
    wrong: Integer
    maps: Float


def choose_landmarks(run: Run, table: str) -> dict[int, Landmarks]:
    """Return the landmarks of every class; the same ones every time."""
    images = run.summary().to_table(columns=["row", "status", TABLES[table]]).sort_by("row")
    group = images[TABLES[table]].cast("int64").fill_null(-1).to_numpy()
    group = np.where(images["status"].to_numpy() == Status.OK, group, -1)
    random = np.random.default_rng(0).random(len(group))
    order = np.lexsort((random, group))
    rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    chosen = np.sort(order[(rank < SAMPLE) & (group[order] >= 0)])
    rows = images["row"].to_numpy()[chosen]
    maps = []
    for unit in run.units:
        wanted = rows[(rows >= unit.lo) & (rows < unit.hi)]
        if len(wanted):
            maps.append(pooled_flows(run, unit)[wanted - unit.lo])
    if not maps:
        return {}
    everything, classes = np.concatenate(maps), group[chosen]
    massive = everything.sum(1) > 0
    return {
        int(number): Landmarks(int(number), rows[own], everything[own])
        for number in np.unique(classes)
        if (own := (classes == number) & massive).any()
    }


def walk_members(run: Run, table: str) -> Iterator[Members]:
    """Yield the images with any mass, unit by unit and class by class."""
    for unit in run.units:
        part = run.summary_part(unit.id)
        group = part[TABLES[table]].cast("int64").fill_null(-1).to_numpy()
        right = part["correct"].cast("int8").cast("int64").fill_null(-1).to_numpy()
        wrong = np.where(right < 0, -1, 1 - right)
        flows = pooled_flows(run, unit)
        used = (part["status"].to_numpy() == Status.OK) & (flows.sum(1) > 0)
        for number in np.unique(group[used & (group >= 0)]):
            own = used & (group == number)
            yield Members(int(number), part["row"].to_numpy()[own], wrong[own], flows[own])


def pooled_flows(run: Run, unit: Unit) -> Float:
    """Return accumulated flows on 7 × 7 boxes at most, each summing to 1, (n, cells)."""
    flow = torch.from_numpy(run.read_maps(unit.lo, unit.hi).sum(axis=1, dtype=np.float64))
    grid = (min(run.spec.grid[0], _SIDE), min(run.spec.grid[1], _SIDE))
    pooled = functional.adaptive_avg_pool2d(flow[:, None], grid).flatten(1).numpy()
    mass = pooled.sum(1, keepdims=True)
    return np.asarray(pooled / np.where(mass > 0, mass, 1))


def nearest(landmarks: Landmarks, maps: Float) -> tuple[Integer, Float]:
    """Return the nearest landmark of each map, and its Hellinger distance to the fifth nearest.

    A map that is itself a landmark does not count as its own neighbour.
    """
    tree = KDTree(np.sqrt(landmarks.maps))
    near = min(NEIGHBOURS + 1, len(landmarks.rows))
    distance, place = tree.query(np.sqrt(maps), k=near)
    distance = np.asarray(distance).reshape(len(maps), near)
    place = np.asarray(place).reshape(len(maps), near)
    itself = (distance[:, 0] == 0).astype(int)
    last = np.minimum(NEIGHBOURS - 1 + itself, near - 1)
    return place[:, 0], distance[np.arange(len(maps)), last] / np.sqrt(2)
