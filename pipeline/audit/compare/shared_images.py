"""The images that two runs share, image by image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import rankdata

from pipeline.atlas import BITS
from pipeline.audit.compare.grids import coarsen, common_grid
from pipeline.images import crop_alike
from pipeline.store import Run, Status

Float = NDArray[np.float64]

_BLOCK = 1024


@dataclass(frozen=True)
class Pairs:
    """Images that both runs hold and neither quarantined, (n,) each, in order of the first's rows.

    Where images have several labels in both runs (``multi_label``), they are images with an output
    that both explain; where they have them in one run only, nothing is shared.

    ``jsd``: Jensen–Shannon divergence in bits between the two accumulated flows, [0, 1].
    ``correlation``: Spearman's between their cells. Both are NaN where a flow has no mass.
    ``label`` is that of the first run, -1 for none; ``right`` (2, n) is 1, 0, or -1 for unknown;
    ``other_rows`` are those of the other run.
    """

    rows: NDArray[np.int64]
    other_rows: NDArray[np.int64]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    right: NDArray[np.int64]
    jsd: Float
    correlation: Float
    multi_label: bool = False


def pair(one: Run, other: Run) -> Pairs:
    """Compare two runs on the images they share, known by their URIs.

    Two data sets may use one name for two images, as splits do whose files are numbered: an image
    counts only if its size is the same and, where both runs cut images alike, its hash.

    Grids that differ are brought to the coarser one, mass kept. Reads the maps of both, a block of
    images at a time.
    """
    rows, other_rows = _shared(one, other)
    parts = [_answers(run, wanted) for run, wanted in ((one, rows), (other, other_rows))]
    fine = (parts[0]["status"] == Status.OK) & (parts[1]["status"] == Status.OK)
    fine &= _same_pixels(*parts, seen_alike=crop_alike(one.spec.input, other.spec.input))
    grid = common_grid(one.spec.grid, other.spec.grid)
    jsd, correlation = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for lo in range(0, len(rows), _BLOCK):
        cut = slice(lo, lo + _BLOCK)
        p, q = (
            flows_on(grid, run, wanted[cut]) for run, wanted in ((one, rows), (other, other_rows))
        )
        jsd[cut], correlation[cut] = divergence(p, q), rank_correlation(p, q)
    return Pairs(
        rows=rows[fine],
        other_rows=other_rows[fine],
        label=parts[0]["label"][fine],
        predicted=np.stack([part["pred"][fine] for part in parts]),
        right=np.stack([part["correct"][fine] for part in parts]),
        jsd=jsd[fine],
        correlation=correlation[fine],
        multi_label=one.spec.multi_label,
    )


def divergence(p: Float, q: Float) -> Float:
    """Return the Jensen–Shannon divergence in bits of distributions (n, cells), NaN of no mass."""
    with np.errstate(divide="ignore", invalid="ignore"):  # without mass: 0 / 0
        distance = np.asarray(jensenshannon(p, q, base=2, axis=1), np.float64)
    return np.clip(distance**2, 0, 1)


def rank_correlation(p: Float, q: Float) -> Float:
    """Return Spearman's correlation of every row (n, cells); NaN where a row is constant."""
    a, b = (rankdata(values, axis=1) for values in (p, q))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Float = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return found


def _shared(one: Run, other: Run) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the images in both runs, as the first orders them."""
    if one.spec.multi_label != other.spec.multi_label:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    place = {uri: row for row, uri in _names(other)}
    found = [(row, place[uri]) for row, uri in _names(one) if uri in place]
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _names(run: Run) -> Iterator[tuple[int, str]]:
    for unit in run.units:
        part = run.index_rows(unit.lo, unit.hi)
        members = part["offset"].to_pylist()
        outputs: list[int | None] = [None] * len(part)
        if run.spec.multi_label:
            outputs = run.summary_part(unit.id, ["target"])["target"].to_pylist()
        for row, uri, offset, output in zip(
            part["row"].to_pylist(), part["uri"].to_pylist(), members, outputs, strict=True
        ):
            if output is not None or not run.spec.multi_label:
                name = uri if offset is None else f"{uri}#{offset}"
                yield row, name if output is None else f"{name}#{output}"


def _answers(run: Run, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    names = ["row", "status", "label", "pred", "correct", "width", "height"]
    names += [name for name in ("phash",) if name in run.summary().schema.names]
    table: pa.Table = run.summary().to_table(columns=names).sort_by("row")
    place = np.searchsorted(table["row"].to_numpy(), rows)
    found = {}
    for name in names:
        column = table[name].cast(pa.int8()) if name == "correct" else table[name]
        found[name] = column.cast(pa.int64()).fill_null(-1).to_numpy()[place]
    return found


def _same_pixels(
    one: dict[str, NDArray[np.int64]], other: dict[str, NDArray[np.int64]], *, seen_alike: bool
) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = one["width"] == other["width"]
    same &= one["height"] == other["height"]
    if seen_alike and "phash" in one and "phash" in other:
        same &= np.bitwise_count(one["phash"] ^ other["phash"]) <= BITS
    return same


def flows_on(grid: tuple[int, int], run: Run, rows: NDArray[np.int64]) -> Float:
    """Return accumulated, normalised flows of rows on a grid, (n, cells); zeros without mass."""
    lo, hi = int(rows.min()), int(rows.max()) + 1
    if hi - lo <= 4 * len(rows):
        maps = run.read_maps(lo, hi)[rows - lo]
    else:
        maps = np.concatenate([run.read_maps(row, row + 1) for row in rows.tolist()])
    pooled = coarsen(maps.sum(axis=1, dtype=np.float64), grid).reshape(len(maps), -1)
    mass = pooled.sum(1, keepdims=True)
    return np.asarray(pooled / np.where(mass > 0, mass, 1))
