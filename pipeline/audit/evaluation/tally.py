"""``Tally``: integer sums of scores, which add up in any order to the same bits."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import FlowatlasError

ONE = 1 << 20
"""Fixed-point unit: a score is added as ``rint(score · ONE)``, its square likewise."""

GREATEST = 1 << 14
"""Greatest score that is added: the squares of 2¹⁵ images that all have it fit an int64."""

TALLY_SCHEMA = pa.schema(
    [
        pa.field("map", pa.string(), nullable=False),
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("fill", pa.string(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("fold", pa.int32(), nullable=False),
        pa.field("values", pa.list_(pa.int64()), nullable=False),
    ]
)
"""The fields of :class:`Key`, and the sums."""

Integer = NDArray[np.int64]


class Key(NamedTuple):
    """What is summed.

    ``layer`` is -1 for the accumulated map, ``label`` -1 for all images, ``fold`` -1 where images
    are not divided into folds (by which the interval of a curve is computed); ``fill`` is empty
    where nothing is hidden.
    """

    map: str
    metric: str
    fill: str = ""
    layer: int = -1
    label: int = -1
    fold: int = -1


class Tally:
    """Sums by key; an empty one is the sum of nothing."""

    def __init__(self) -> None:
        self.sums: dict[Key, Integer] = {}

    def add(self, key: Key, values: Integer) -> None:
        """Add integers to a key's; those of one key have one shape (n,)."""
        self.sums[key] = self.sums[key] + values if key in self.sums else values.copy()

    def score(self, key: Key, values: ArrayLike) -> None:
        """Add the count, sum and sum of squares of scores; those that are NaN are left out.

        Raises
        ------
        FlowatlasError
            A score is larger than :data:`GREATEST`, or infinite.
        """
        given = np.asarray(values, np.float64).reshape(-1)
        known = given[~np.isnan(given)]
        if not len(known):
            return
        if not (np.abs(known) <= GREATEST).all():
            raise FlowatlasError(
                f"a score of {key.map} ({key.metric}) is {np.abs(known).max():g}, which is no "
                "score; leave this map out with --method"
            )
        whole = np.rint(known * ONE).astype(np.int64)
        squares = np.rint(known * known * ONE).astype(np.int64)
        self.add(key, np.array([len(known), whole.sum(), squares.sum()], np.int64))

    def table(self) -> pa.Table:
        """Return the sums as a table, sorted by key."""
        rows = [{**key._asdict(), "values": self.sums[key].tolist()} for key in sorted(self.sums)]
        return pa.Table.from_pylist(rows, schema=TALLY_SCHEMA)

    @classmethod
    def of(cls, table: pa.Table) -> "Tally":
        """Return the sums of a table."""
        found = cls()
        for row in table.to_pylist():
            values = np.array(row.pop("values"), np.int64)
            found.add(Key(**row), values)
        return found

    @classmethod
    def merged(cls, parts: "Iterable[Tally]") -> "Tally":
        """Return the sum of tallies."""
        total = cls()
        for part in parts:
            for key, values in part.sums.items():
                total.add(key, values)
        return total
