"""Selection: whose parts are put onto whom. Donors of every class, and recipients for all of them.

Only images that the model gets right take part: a donor's part must have helped, and a recipient
must have a class to lose. Half of the donors are drawn by lot, half are the outermost images of
their class along its first axes: images that share something that the rest of the class lacks lie
together at one end of such an axis. An axis is one of the class's maps of the last layer (or of its
features, where the run stores them), whitened by the covariance within all classes, because what
every class varies in says nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.atlas import TABLES
from pipeline.store import Run, Status

Float = NDArray[np.float64]
Integer = NDArray[np.int64]

POOL = 96
"""Most images of a class that can be donors, drawn by lot."""

RECIPIENTS = 96
"""Images that parts are put onto, drawn by lot from those of all classes; a donor gets those that
are of other classes than its own."""

_AXES = 3
_SHOWING = 4096
"""Most images from which the covariance within classes is estimated."""
_DIMENSIONS = 48
"""Dimensions, drawn at random, of what is whitened (Johnson & Lindenstrauss, 1984)."""


@dataclass(frozen=True)
class ClassDonors:
    """``donors`` are rows of a class, the first to be tried first."""

    class_id: int
    donors: tuple[int, ...]


@dataclass(frozen=True)
class Selection:
    """The donors of every class, and the rows of recipients with the class of each."""

    by_class: tuple[ClassDonors, ...]
    recipients: tuple[int, ...]
    classes: tuple[int, ...]


def select_images(run: Run, table: str) -> Selection:
    """Choose donors and recipients of a run for the classes of ``table``; the same every time."""
    rows, groups = _right_images(run, table)
    random = np.random.default_rng(0)
    order = random.permutation(len(rows))
    chosen = np.sort(order[:RECIPIENTS])
    pools = {}
    for class_id in np.unique(groups).tolist():
        own = rows[groups == class_id]
        pools[class_id] = np.sort(np.random.default_rng(class_id).permutation(own)[:POOL])
    return Selection(
        by_class=tuple(
            ClassDonors(key, _in_turns(key, pool, axes))
            for key, pool, axes in _with_ends(run, pools)
        ),
        recipients=tuple(rows[chosen].tolist()),
        classes=tuple(groups[chosen].tolist()),
    )


def _right_images(run: Run, table: str) -> tuple[Integer, Integer]:
    """Return the rows of images that are not known to be wrong, ascending, and their classes."""
    group = TABLES[table]
    fine = (pc.field("status") == int(Status.OK)) & pc.field(group).is_valid()
    images = run.summary().to_table(columns=["row", "correct", group], filter=fine).sort_by("row")
    right = images["correct"].fill_null(True).to_numpy()
    rows = np.asarray(images["row"].to_numpy(), np.int64)
    groups = np.asarray(images[group].to_numpy(), np.int64)
    return rows[right], groups[right]


def _with_ends(
    run: Run, pools: dict[int, Integer]
) -> Iterator[tuple[int, Integer, Sequence[Integer]]]:
    """Yield every class with its pool and the pool's order along each of its axes."""
    whiten = _whitening(run, pools)
    for class_id, pool in pools.items():
        vectors = _vectors(run, pool) @ whiten
        vectors = vectors - vectors.mean(0)
        _, _, axes = np.linalg.svd(vectors, full_matrices=False)
        yield class_id, pool, [np.argsort(vectors @ axis, kind="stable") for axis in axes[:_AXES]]


def _in_turns(class_id: int, pool: Integer, axes: Sequence[Integer]) -> tuple[int, ...]:
    """Return a pool with one by lot, one from an end of an axis, and so on; each image once."""
    ends = [end for rank in range(len(pool)) for axis in axes for end in (axis[rank], axis[~rank])]
    lot = np.random.default_rng(class_id).permutation(len(pool)).tolist()
    mixed = [place for pair in zip(lot * (2 * len(axes)), ends, strict=False) for place in pair]
    return tuple(int(pool[place]) for place in dict.fromkeys([*mixed, *lot]))


def _whitening(run: Run, pools: dict[int, Integer]) -> Float:
    """Return the matrix (d, k) that whitens vectors within classes, after a random projection."""
    each = max(2, _SHOWING // max(1, len(pools)))
    residuals = []
    for pool in pools.values():
        vectors = _vectors(run, pool[:each])
        residuals.append(vectors - vectors.mean(0))
    stacked = np.concatenate(residuals) if residuals else np.zeros((1, 1))
    width = stacked.shape[1]
    kept = min(_DIMENSIONS, width)
    random = np.random.default_rng(0).normal(size=(width, kept)) / kept**0.5
    if kept == width:
        random = np.eye(width)
    values, vectors = np.linalg.eigh(np.cov(stacked @ random, rowvar=False).reshape(kept, kept))
    scale = 1 / np.sqrt(values + 1e-3 * max(values.max(), 1e-12))
    whitening: Float = random @ (vectors * scale)
    return whitening


def _vectors(run: Run, rows: Integer) -> Float:
    """Return the features of some rows, or their last maps, mass 1, under a root, (n, d)."""
    if run.spec.channels:
        return np.asarray(run.features.oindex[rows], np.float64)
    maps = np.asarray(run.maps.oindex[rows, -1], np.float64).reshape(len(rows), -1)
    mass = maps.sum(1, keepdims=True)
    return np.sqrt(np.clip(maps / np.where(mass > 0, mass, 1), 0, None))
