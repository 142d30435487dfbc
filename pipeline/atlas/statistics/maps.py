"""Class sums of normalised maps: mean and variance of p per layer and of the accumulated flow.

p = map / mass, in [0, 1]. p and p² enter the sums in fixed point (see
:mod:`pipeline.atlas.statistics.sums`): a mean is exact to 2**-33 and a variance to about 2**-32,
each plus the float64 rounding of p. Where a map has no mass p is undefined; the image is counted in
``zero`` and adds nothing.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.block import FlowBlock
from pipeline.atlas.statistics.membership import Members
from pipeline.atlas.statistics.pooled import pool, pooled_grid
from pipeline.atlas.statistics.statistic import Finish, Flat, Sums
from pipeline.atlas.statistics.sums import ONE, WEIGHT_ONE, ClassSums, Integer, Shapes, weigh
from pipeline.atlas.statistics.table import Table

BLOCK = 48
"""Images worked on at once: so few that float64 intermediates stay near, in the cache, and so many
that threads do not hand Python's lock to each other all the time."""

Float = NDArray[np.float64]
_AXES = ("class", "layer", "y", "x")
_TOGETHER = 128  # classes that are finished at once, and are a chunk
_MAPS = ("mean", "variance", "flow_mean", "flow_variance")
_ZEROS = ("zero", "flow_zero")
_COUNTS = {
    "n_quarantined": "quarantined",
    "n_labelled": "labelled",
    "n_correct": "correct",
}


class Maps:
    """The statistic of the maps, and of how many images there are of each kind."""

    def __init__(
        self,
        layers: int,
        grid: tuple[int, int],
        rate: Callable[[str], str] = lambda table: "accuracy",
    ) -> None:
        self.layers, self.grid, self.rate = layers, grid, rate

    def empty(self, cells: int) -> dict[str, Sums]:
        """Return its sums over no image, by name."""
        return {"maps": ClassSums(cells, shapes(self.layers, self.grid))}

    def add(self, sums: Mapping[str, Any], block: FlowBlock) -> None:
        """Add the maps of images, and pool them."""
        block.pooled[...] = add_maps(sums["maps"], block.members, block.maps, block.scale)

    def write(self, sums: Mapping[str, Any], tables: Sequence[Table], threads: Executor) -> Finish:
        """Write means, variances and zeros; counts and accuracy are flat columns."""
        futures = [threads.submit(self._write, sums["maps"], table) for table in tables]
        return lambda: [future.result() for future in futures]

    def _write(self, total: ClassSums, table: Table) -> Flat:
        count = len(table.parts)
        shape = (count, self.layers, *self.grid)
        arrays = {
            name: table.create(name, shape, "float32", _AXES, together=_TOGETHER) for name in _MAPS
        }
        zeros = {name: np.empty((count, self.layers), np.int64) for name in _ZEROS}
        for lo in range(0, count, _TOGETHER):
            some = slice(lo, lo + _TOGETHER)
            finished = finish_maps(total, table.parts[some])
            for name, array in arrays.items():
                array[some] = getattr(finished, name)
            for name, zero in zeros.items():
                zero[some] = getattr(finished, name)
        for name, zero in zeros.items():
            table.write(name, zero, _AXES[:2])
        counts = {name: total.composed(own, table.parts) for name, own in _COUNTS.items()}
        labelled = np.where(counts["n_labelled"] > 0, counts["n_labelled"], np.nan)
        return {
            "count": total.composed("count", table.parts),
            **(_sizes(total, table.parts) if table.weighted else {}),
            "n_zero": zeros["flow_zero"][:, -1],
            **{name: _images(values) for name, values in counts.items()},
            self.rate(table.name): counts["n_correct"] / labelled,
        }


def shapes(layers: int, grid: tuple[int, int]) -> Shapes:
    """Return the arrays of the map sums; ``maps`` holds p, p², accumulated p, accumulated p².

    All others but ``square``, the sum of the squared weights, are sums of weights.
    """
    return {
        "weight": (),
        "square": (),
        "quarantined": (),
        "labelled": (),
        "correct": (),
        "zero": (2, layers),
        "maps": (4, layers, *grid),
    }


def add_maps(
    total: ClassSums, members: Members, maps: NDArray[np.generic], scale: NDArray[np.float32]
) -> NDArray[np.uint16]:
    """Add images to the sums; return their pooled maps, (n, y, x), zero where one does not count.

    Images of one cell are added together before they are added to the cell, which is far away in
    memory: so many images at once are faster. An image that is in two cells is computed once.

    Parameters
    ----------
    maps : (n, L, h, w)
        As stored, one per member.
    scale : (n, L)
        ``maps * scale`` are the raw maps.
    """
    _add_counts(total, members)
    cells, others = _by_first_cell(members)
    images = np.lexsort((others, cells))
    images = images[np.searchsorted(cells[images], 0) :]
    pooled = np.zeros((len(maps), *pooled_grid(maps.shape[2:])), np.uint16)
    zero = np.empty((len(images), 2, maps.shape[1]), np.bool_)
    work = Workspace(maps.shape[1:])
    for lo, hi in _cuts(cells[images]):
        block = images[lo:hi]
        fixed, zero[lo:hi] = work.fixed_point(maps[block], scale[block])
        pooled[block] = pool(fixed[:, 2, -1])
        weights = None if members.weights is None else members.weights[block]
        fixed = weigh(fixed, weights)
        _add_runs(total["maps"], cells[block], fixed)
        second = np.flatnonzero(others[block] >= 0)
        if len(second):
            _add_runs(total["maps"], others[block][second], fixed[second])
    for own in (cells[images], others[images]):
        _add_zeros(total["zero"], own, zero, members.worth[images])
    return pooled


def _by_first_cell(members: Members) -> tuple[Integer, Integer]:
    """Return the first cell of each image and the second, -1 for none or where it is not ok."""
    one, two = np.where(members.ok[:, None], members.cells, -1).T
    return np.where(one >= 0, one, two), np.where(one >= 0, two, -1)


def _cuts(cells: Integer) -> Iterator[tuple[int, int]]:
    """Cut sorted cells into blocks, which break no run of images of one cell that fits a block."""
    ends = [*(np.flatnonzero(cells[1:] != cells[:-1]) + 1).tolist(), len(cells)]
    lo = hi = 0
    for end in ends:
        if end - lo > BLOCK and hi > lo:
            yield lo, hi
            lo = hi
        while end - lo > BLOCK:
            yield lo, lo + BLOCK
            lo += BLOCK
        hi = end
    if hi > lo:
        yield lo, hi


def _add_runs(into: Integer, cells: Integer, fixed: Float) -> None:
    """Add images (n, …) to their cells, those of one cell that follow each other together."""
    first = np.flatnonzero(cells[1:] != cells[:-1]) + 1
    for lo, hi in pairwise((0, *first.tolist(), len(cells))):
        together = fixed[lo] if hi - lo == 1 else np.add.reduce(fixed[lo:hi], axis=0)
        into[cells[lo]] += together.astype(np.int64)


def _add_zeros(into: Integer, cells: Integer, zero: NDArray[np.bool_], worth: Integer) -> None:
    image, part, layer = np.nonzero(zero & (cells >= 0)[:, None, None])
    np.add.at(into, (cells[image], part, layer), worth[image])


def _add_counts(total: ClassSums, members: Members) -> None:
    cells = members.cells.T.reshape(-1)
    known = cells >= 0
    used = known & np.tile(members.ok, 2)
    correct, worth = np.tile(members.correct, 2), np.tile(members.worth, 2)
    total.admit(cells[used])
    total.present[cells[known]] = True
    for name, chosen in {
        "weight": used,
        "quarantined": known & ~used,
        "labelled": used & (correct >= 0),
        "correct": used & (correct == 1),
    }.items():
        np.add.at(total[name], cells[chosen], worth[chosen])
    np.add.at(total["square"], cells[used], worth[used] ** 2)


class Workspace:
    """The memory that blocks of images are worked on in.

    It is taken once: to clear new memory for every block would take as long as the work. Layers
    come first here, so that adding one to the next is adding long rows.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        layers, cells = shape[0], math.prod(shape[1:])
        self._two = np.empty((2, layers * BLOCK * cells))
        self._fixed = np.empty((BLOCK, 4, layers, cells))

    def fixed_point(
        self, maps: NDArray[np.generic], scale: NDArray[np.float32]
    ) -> tuple[Float, NDArray[np.bool_]]:
        """Return fixed-point p and p² of raw and accumulated maps, and where they are undefined.

        Whole numbers up to ``2**32``, so sums of 2**20 of them are exact. Mass is summed along
        contiguous cells, so an image gives the same bits in any batch.

        Shapes: maps (n, L, h, w), n up to ``BLOCK``, and scale (n, L) → (n, 4, L, h, w), valid
        until the next call, and (n, 2, L).
        """
        n, layers = scale.shape
        each = (layers, n, math.prod(self.shape[1:]))
        values, p = (own[: math.prod(each)].reshape(each) for own in self._two)
        fixed = self._fixed[:n]
        zero = np.empty((n, 2, layers), np.bool_)
        values[...] = maps.reshape(n, layers, -1).transpose(1, 0, 2)
        p[...] = scale.T[:, :, None]
        values *= p
        for part in (0, 1):
            mass = values.sum(axis=2)
            zero[:, part] = mass.T == 0
            mass[mass == 0] = 1
            p[...] = (ONE / mass)[:, :, None]
            p *= values
            np.rint(p, out=fixed[:, 2 * part].transpose(1, 0, 2))
            p *= p
            p *= 1 / ONE
            np.rint(p, out=fixed[:, 2 * part + 1].transpose(1, 0, 2))
            if not part:
                for layer in range(1, layers):
                    values[layer] += values[layer - 1]
        return fixed.reshape(n, 4, *self.shape), zero


@dataclass(frozen=True)
class MapStatistics:
    """Finished map statistics of some classes; NaN where no image defines them.

    ``mean``, ``variance`` (population) of p and ``flow_mean``, ``flow_variance`` of the
    accumulated p are (K, L, h, w) float64; ``zero`` and ``flow_zero`` (K, L) count the images
    without mass in (or up to) a layer.
    """

    zero: Integer
    flow_zero: Integer
    mean: Float
    variance: Float
    flow_mean: Float
    flow_variance: Float


def finish_maps(total: ClassSums, parts: Integer) -> MapStatistics:
    """Turn sums into means and variances of the classes made of the cells ``parts``."""
    maps, zero = total.composed("maps", parts), total.composed("zero", parts)
    weight = total.composed("weight", parts)[:, None]
    moments = [_moments(maps, 2 * part, weight - zero[:, part]) for part in (0, 1)]
    return MapStatistics(
        zero=_images(zero[:, 0]),
        flow_zero=_images(zero[:, 1]),
        mean=moments[0][0],
        variance=moments[0][1],
        flow_mean=moments[1][0],
        flow_variance=moments[1][1],
    )


def _images(weight: Integer) -> Integer:
    """Return sums of weights as numbers of images, rounded."""
    return (weight + WEIGHT_ONE // 2) // WEIGHT_ONE


def _sizes(total: ClassSums, parts: Integer) -> dict[str, Float]:
    """Return how many images weighted classes are worth: their weight, and Kish's number (1965)."""
    weight = total.composed("weight", parts).astype(np.float64)
    square = total.composed("square", parts)
    return {
        "weight": weight / WEIGHT_ONE,
        "kish": np.divide(weight**2, square, out=np.zeros(len(weight)), where=square > 0),
    }


def _moments(maps: Integer, first: int, n: Integer) -> tuple[Float, Float]:
    weight = np.where(n > 0, n / WEIGHT_ONE, np.nan)[:, :, None, None] * float(ONE)
    mean = maps[:, first] / weight
    variance = maps[:, first + 1] / weight - mean * mean
    return mean, np.maximum(variance, 0, out=variance)
