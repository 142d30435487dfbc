"""How many images are near duplicates of each image of a run, itself included.

Two images are near duplicates if their perceptual hashes differ in at most three bits and their
pixels are as bright, as contrasted and as sharp; or, where the run stores embeddings, if these
point the same way, by a cosine of 0.95 and by one of sixteen keys (see ``embeddings.py``). Being
a near duplicate is no equivalence: in a chain of images, each like the next, the ends may be
unlike. So no groups are made, and every image counts its own neighbours.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas.commonness.embeddings import close_directions, directions
from pipeline.atlas.commonness.hashes import BITS, close_hashes
from pipeline.errors import RunIncomplete
from pipeline.store import Run, Status

ALIKE = {"brightness": 0.02, "contrast": 0.02, "sharpness": float(np.log(1.25))}
"""Largest difference between near duplicates (of sharpness: a quarter more or less)."""

_NO_HASH = -1

Integer = NDArray[np.int64]
Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class Images:
    """Distinct images: what they are compared by.

    ``hashes`` (n,), -1 where there is none; ``pixels`` (n, 3) of ``ALIKE``, the sharpness as its
    logarithm, NaN where it is not known; ``vectors`` (n, C), no columns without embeddings.
    """

    hashes: Integer
    pixels: Pixels
    vectors: NDArray[np.float32]

    def alike(self, one: Integer, other: Integer) -> NDArray[np.bool_]:
        """Return whether the pixels of pairs of images are alike; what is not known is."""
        gap = np.abs(self.pixels[one] - self.pixels[other])
        return np.asarray(~(gap > np.array([*ALIKE.values()])).any(axis=1))

    def hashed_alike(self, one: Integer, other: Integer) -> NDArray[np.bool_]:
        """Return whether pairs of images are near duplicates by hash and pixels."""
        known = (self.hashes[one] >= 0) & (self.hashes[other] >= 0)
        close = np.bitwise_count(self.hashes[one] ^ self.hashes[other]) <= BITS
        return np.asarray(known & close & self.alike(one, other))


def count_near_duplicates(
    images: Images, times: Integer, first: Integer
) -> tuple[Integer, Integer]:
    """Return how many near duplicates each of n distinct images has, and the first row of them.

    Parameters
    ----------
    times : (n,)
        How many images of the run are the same as each.
    first : (n,)
        The first row of these.
    """
    count, lowest = times.copy(), first.copy()

    def add(one: Integer, other: Integer) -> None:
        for own, neighbour in ((one, other), (other, one)):
            np.add.at(count, own, times[neighbour])
            np.minimum.at(lowest, own, first[neighbour])

    hashed = np.flatnonzero(images.hashes >= 0)
    for left, right in close_hashes(images.hashes[hashed]):
        one, other = hashed[left], hashed[right]
        alike = images.alike(one, other)
        add(one[alike], other[alike])
    if images.vectors.shape[1]:
        for one, other in close_directions(images.vectors):
            new = ~images.hashed_alike(one, other)
            add(one[new], other[new])
    return count, lowest


def near_duplicates_of(run: Run) -> tuple[Integer, Integer]:
    """Return for every row its number of near duplicates, and the first row of them, (rows,) each.

    Images are counted, not rows, where images have several labels. A quarantined image has none
    but itself.

    Raises
    ------
    RunIncomplete
        The run has neither hashes nor embeddings.
    """
    table = _images_of(run)
    count, first = np.ones(run.spec.rows, np.int64), np.arange(run.spec.rows)
    rows = table["row"].to_numpy()
    images = Images(_hashes(table), _pixels(table), _vectors(run, rows))
    if not images.vectors.shape[1] and not (images.hashes >= 0).any():
        raise RunIncomplete(
            f"{run.uri} has neither perceptual hashes nor embeddings to find common images by; "
            "compute it again, or with flow.features: true"
        )
    one, place, times = _distinct(images)
    own = Images(images.hashes[one], images.pixels[one], images.vectors[one])
    found = count_near_duplicates(own, times, rows[one])
    if "image" in table.column_names:
        number = np.searchsorted(table["image"].to_numpy(), _image_numbers(run))
        known = np.isin(_image_numbers(run), table["image"].to_numpy())
        count[known], first[known] = (values[place[number[known]]] for values in found)
    else:
        count[rows], first[rows] = (values[place] for values in found)
    return count, first


def _images_of(run: Run) -> pa.Table:
    """Return what is known of every usable image, the first row of each, in order."""
    schema = run.summary().schema
    names = [name for name in ("row", "status", "image", "phash", *ALIKE) if name in schema.names]
    table: pa.Table = run.summary().to_table(columns=names).sort_by("row")
    table = table.filter(pa.array(table["status"].to_numpy() == Status.OK))
    if "image" in names:
        table = table.filter(pa.array(np.diff(table["image"].to_numpy(), prepend=-1) != 0))
    return table


def _image_numbers(run: Run) -> Integer:
    table = run.summary().to_table(columns=["row", "image"]).sort_by("row")
    return np.asarray(table["image"].to_numpy())


def _hashes(table: pa.Table) -> Integer:
    """Return the hashes, 0 for an image of one colour, which has none, and -1 where unknown."""
    hashes: Integer = table["phash"].cast(pa.int64()).fill_null(_NO_HASH).to_numpy().copy()
    if {"contrast", "sharpness"} <= set(table.column_names):
        flat = table["contrast"].is_valid().to_numpy() & table["sharpness"].is_null().to_numpy()
        hashes[flat] = 0
    return hashes


def _pixels(table: pa.Table) -> Pixels:
    found = np.full((len(table), len(ALIKE)), np.nan)
    for i, name in enumerate(ALIKE):
        if name in table.column_names:
            found[:, i] = table[name].to_numpy(zero_copy_only=False)
    with np.errstate(divide="ignore"):
        found[:, -1] = np.log(found[:, -1])
    return found


def _vectors(run: Run, rows: Integer) -> NDArray[np.float32]:
    if not run.spec.channels:
        return np.empty((len(rows), 0), np.float32)
    features = np.empty((len(rows), run.spec.channels), np.float32)
    for unit in run.units:
        lo, hi = np.searchsorted(rows, [unit.lo, unit.hi])
        features[lo:hi] = np.asarray(run.features[unit.lo : unit.hi])[rows[lo:hi] - unit.lo]
    return directions(features)


def _distinct(images: Images) -> tuple[Integer, Integer, Integer]:
    """Return the first of every set of equal images, the set of each image, and the sets' sizes.

    Copies are so many equal images: they need not be compared with one another.
    """
    parts = [images.hashes[:, None].view(np.uint8), images.pixels.view(np.uint8)]
    content = np.concatenate([*parts, np.ascontiguousarray(images.vectors).view(np.uint8)], axis=1)
    keys = np.ascontiguousarray(content).view(f"V{content.shape[1]}").reshape(-1)
    _, first, place, times = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    return first, place.reshape(-1), times
