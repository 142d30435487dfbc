"""Which cells each image of a unit is added to, and how cells make the classes of a table.

A cell is the finest set of images that the tables distinguish: of each class those answered right,
those answered wrong, those with a label but no answer to judge, and those that were answered with
the class without being right. An image is in two cells at most, and in one if it was answered
right, so three tables cost little more than one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.atlas.statistics.sums import WEIGHT_ONE
from pipeline.errors import DatasetError
from pipeline.nouns import counted
from pipeline.store.layout import Status

TABLES: Mapping[str, str] = {"label": "label", "predicted": "pred", "outcome": "label"}
"""Table of class statistics → the summary's column that has the class of an image. In ``outcome``
the images of class c that were answered right are at 2 c, those answered wrong at 2 c + 1."""

CONFIDENT = 0.8
"""Confidence from which low mass is suspicious: the model is confident, yet saw little."""

CONFIDENT_MASS = "mass_confident"
"""Column made here: the accumulated mass of the images the model is confident about."""

HEAD = ("row", "status", "label", "pred", "correct")
"""Columns of the summary that members are read from."""

Integer = NDArray[np.int64]
_RIGHT, _WRONG, _UNKNOWN, _OTHER = range(4)
_CELLS = {"label": (_RIGHT, _WRONG, _UNKNOWN), "predicted": (_RIGHT, _OTHER)}


@dataclass(frozen=True)
class Tables:
    """The tables of an atlas, and the cells they are made of.

    Attributes
    ----------
    names : of ``TABLES``, or the column ``by`` alone
    classes : names of the model's classes
    by : column of the summary or the index whose values are the groups, or None
    values : its values as text, sorted
    per : ``label`` or ``predicted``
        Whose class divides the groups further: class c with value v is at ``c * len(values) + v``.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    by: str | None = None
    values: tuple[str, ...] = ()
    per: str | None = None

    @property
    def cells(self) -> int:
        """Number of cells."""
        if not self.by:
            return 4 * len(self.classes)
        return len(self.values) * (len(self.classes) if self.per else 1)

    def members_of(self, table: str) -> tuple[str, ...]:
        """Return the names of a table's classes."""
        return tuple(", ".join(parts) for parts in self.divided(table) or self._undivided())

    def divided(self, table: str) -> list[tuple[str, str]]:
        """Return class and group of each of a table's classes, none where it is not divided."""
        groups = self.values if self.per else ("right", "wrong") if table == "outcome" else ()
        return [(name, group) for name in self.classes for group in groups]

    def _undivided(self) -> list[tuple[str]]:
        return [(name,) for name in (self.values if self.by else self.classes)]

    def parts(self, table: str) -> Integer:
        """Return which cells make each class of a table, (classes, m)."""
        if self.by:
            return np.arange(self.cells)[:, None]
        number = np.arange(len(self.classes))
        if table == "outcome":
            return np.stack([number, number + len(number)], axis=1).reshape(-1, 1)
        return np.stack([number + cell * len(number) for cell in _CELLS[table]], axis=1)


@dataclass(frozen=True)
class Members:
    """Images of a unit by cell.

    Attributes
    ----------
    rows : (n,) int64
    ok : (n,) bool
        False where the image was quarantined.
    cells : (n, 2) int64
        The cells an image is added to, -1 for none.
    correct : (n,) int64
        1 right, 0 wrong, -1 unknown because there is no label.
    weights : (n,) int64 or None
        Of a weighted atlas: how much each image counts, in units of 1 ÷ ``WEIGHT_ONE``.
    first : (n,) int64 or None
        Of a weighted atlas: the first row that is a near duplicate of each, or itself. What is
        drawn at random for an image is drawn for this row, so that copies are drawn together.
    """

    rows: Integer
    ok: NDArray[np.bool_]
    cells: Integer
    correct: Integer
    weights: Integer | None = None
    first: Integer | None = None

    @property
    def worth(self) -> Integer:
        """The weights (n,): ``WEIGHT_ONE`` for every image of an atlas that is not weighted."""
        return np.full(len(self.rows), WEIGHT_ONE) if self.weights is None else self.weights

    @property
    def draws(self) -> Integer:
        """The rows (n,) whose random numbers the images get."""
        return self.rows if self.first is None else self.first

    def take(self, chosen: slice | Integer) -> "Members":
        """Return some of the images."""
        return Members(
            rows=self.rows[chosen],
            ok=self.ok[chosen],
            cells=self.cells[chosen],
            correct=self.correct[chosen],
            weights=None if self.weights is None else self.weights[chosen],
            first=None if self.first is None else self.first[chosen],
        )


def members_of(part: pa.Table, tables: Tables, chosen: NDArray[np.bool_] | None = None) -> Members:
    """Read the members from a unit's summary.

    Parameters
    ----------
    part
        Columns ``HEAD``, and ``tables.by``.
    chosen : (n,) bool
        The images that count; all if not given.

    Raises
    ------
    DatasetError
        A label is not one of the model's outputs.
    """
    ok = part["status"].to_numpy() == Status.OK
    correct = _integers(part["correct"].cast(pa.int8()))
    cells = np.full((len(ok), 2), -1)
    if tables.by:
        text = part[tables.by].cast(pa.string())
        found = pc.index_in(text, value_set=pa.array(tables.values, pa.string()))
        cells[:, 0] = _integers(found)
        if tables.per:
            own = _classes(part, TABLES[tables.per], len(tables.classes))
            known = (own >= 0) & (cells[:, 0] >= 0)
            cells[:, 0] = np.where(known, own * len(tables.values) + cells[:, 0], -1)
    else:
        label, pred = (_classes(part, name, len(tables.classes)) for name in ("label", "pred"))
        right = (correct == 1) & (label == pred)
        state = np.where(right, _RIGHT, np.where(correct == 0, _WRONG, _UNKNOWN))
        count = len(tables.classes)
        if "predicted" in tables.names:
            cells[:, 1] = np.where(~right & (pred >= 0), pred + _OTHER * count, -1)
        used = label >= 0 if set(tables.names) != {"predicted"} else right
        cells[:, 0] = np.where(used, label + state * count, -1)
    if chosen is not None:
        cells[~chosen] = -1
    return Members(part["row"].to_numpy(), ok, cells, correct)


def classes_in(members: Members, tables: Tables, table: str) -> Integer:
    """Return the class of each image in a table, (n,); -1 where it has none."""
    class_of = np.full(tables.cells + 1, -1)
    parts = tables.parts(table)
    class_of[parts] = np.arange(len(parts))[:, None]
    found: Integer = class_of[members.cells].max(axis=1)
    return found


def segments(members: Members, used: NDArray[np.bool_]) -> tuple[Integer, Integer, Integer]:
    """Sort images by cell.

    Returns
    -------
    images : (m,)
        Positions of the images, those of one cell together, an image once for each of its cells.
    cells : (c,)
        The cells that have images, ascending.
    bounds : (c + 1,)
        The images of ``cells[i]`` are ``images[bounds[i] : bounds[i + 1]]``.
    """
    flat = np.where(used[:, None], members.cells, -1).reshape(-1)
    order = np.argsort(flat, kind="stable")
    order = order[np.searchsorted(flat[order], 0) :]
    cells, first = np.unique(flat[order], return_index=True)
    return order // 2, cells, np.append(first, len(order))


def _classes(part: pa.Table, name: str, classes: int) -> Integer:
    values = _integers(part[name])
    if len(values) and (values.max() >= classes or values.min() < -1):
        raise DatasetError(
            f"column {name} of the summary holds class {int(values.max())}, but the "
            f"model has {counted(classes, 'class')}; map the labels with dataset.labels"
        )
    return values


def _integers(column: pa.ChunkedArray) -> Integer:
    """Return a column as int64, -1 where it is null."""
    values: Integer = column.cast(pa.int64()).fill_null(-1).to_numpy()
    return values
