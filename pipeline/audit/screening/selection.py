"""Selection: whose parts are put onto whom. Donors of every class, and recipients for all of them.

Only images that the model gets right take part: a donor's part must have helped, and a recipient
must have a class to lose. Where to start looking for images that share something: those that lie
outermost along the first axes of their class, because the model sees what they share, and some by
lot. An axis is one of the class's maps of the last layer (or of its features, where the run stores
them), whitened by the covariance within all classes, because what every class varies in says
nothing.
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
"""Most images of a class that can be donors, drawn at random."""

LEAST_DONORS = 6
"""Images that the model gets right below which a class is not screened."""

RECIPIENTS = 96
"""Images that parts are put onto, drawn at random from all classes; a donor gets those of other
classes than its own."""

REFERENCE = 512
"""Most images of all classes among which it is seen how rare is what a group has."""

_AXES = 3
_SHOWING = 4096
"""Most images from which the covariance within classes is estimated."""
_DIMENSIONS = 48
"""Dimensions, drawn at random, of what is whitened (Johnson & Lindenstrauss, 1984)."""


_START = 4
"""A start is this part of a class."""
_LEAST_START = 3
_BY_LOT = 2
"""Random starts."""


@dataclass(frozen=True)
class ClassDonors:
    """``donors`` are rows of a class, in random order.

    ``starts`` are groups of positions of donors that may share something.
    """

    class_id: int
    donors: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Selection:
    """The donors of every class, and the rows of recipients with the class of each."""

    by_class: tuple[ClassDonors, ...]
    recipients: tuple[int, ...]
    classes: tuple[int, ...]

    @property
    def reference(self) -> tuple[tuple[int, int], ...]:
        """Rows of donors of all classes with their class, those that something is rare among."""
        every = [(row, own.class_id) for own in self.by_class for row in own.donors]
        order = np.random.default_rng(len(every)).permutation(len(every))
        return tuple(every[place] for place in order[:REFERENCE])


def select_images(run: Run, table: str) -> Selection:
    """Choose donors and recipients of a run for the classes of ``table``; the same every time."""
    rows, groups = _right_images(run, table)
    random = np.random.default_rng(0)
    order = random.permutation(len(rows))
    chosen = np.sort(order[:RECIPIENTS])
    pools = {}
    for class_id in np.unique(groups).tolist():
        own = rows[groups == class_id]
        pools[class_id] = np.random.default_rng(class_id).permutation(own)[:POOL]
    return Selection(
        by_class=tuple(
            ClassDonors(key, tuple(pool.tolist()), _starts(key, len(pool), axes))
            for key, pool, axes in _with_axes(run, pools)
        ),
        recipients=tuple(rows[chosen].tolist()),
        classes=tuple(groups[chosen].tolist()),
    )


def screened(selection: Selection) -> tuple[ClassDonors, ...]:
    """Return the classes that can be screened: those with enough donors, and others to turn."""
    return tuple(
        own
        for own in selection.by_class
        if len(own.donors) >= LEAST_DONORS and set(selection.classes) - {own.class_id}
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


def _with_axes(
    run: Run, pools: dict[int, Integer]
) -> Iterator[tuple[int, Integer, Sequence[Integer]]]:
    """Yield every class with its pool and the pool's order along each of its axes."""
    whiten = _whitening(run, pools)
    for class_id, pool in pools.items():
        vectors = _in_order(run, pool) @ whiten
        vectors = vectors - vectors.mean(0)
        _, _, axes = np.linalg.svd(vectors, full_matrices=False)
        yield class_id, pool, [np.argsort(vectors @ axis, kind="stable") for axis in axes[:_AXES]]


def _starts(class_id: int, number: int, axes: Sequence[Integer]) -> tuple[tuple[int, ...], ...]:
    """Return both ends of every axis, and some random groups of the same size."""
    size = min(number, max(_LEAST_START, number // _START))
    random = np.random.default_rng((class_id, number))
    lots = [random.permutation(number) for _ in range(_BY_LOT)]
    found = [*(end for axis in axes for end in (axis, axis[::-1])), *lots]
    return tuple(tuple(sorted(start[:size].tolist())) for start in found)


def _in_order(run: Run, rows: Integer) -> Float:
    """Return :func:`_vectors` of rows in any order."""
    order = np.argsort(rows)
    found = np.empty_like(vectors := _vectors(run, rows[order]))
    found[order] = vectors
    return found


def _whitening(run: Run, pools: dict[int, Integer]) -> Float:
    """Return the matrix (d, k) that whitens vectors within classes, after a random projection."""
    each = max(2, _SHOWING // max(1, len(pools)))
    residuals = []
    for pool in pools.values():
        vectors = _vectors(run, np.sort(pool[:each]))
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
