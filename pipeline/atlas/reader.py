"""``open_atlas``: class statistics as a person or a later step reads them."""

from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.atlas.columns import quantile
from pipeline.atlas.disk import TYPICAL, open_group, table_path
from pipeline.atlas.members import TABLES
from pipeline.errors import ConfigError, RunIncomplete
from pipeline.store import Run

Float = NDArray[np.float64]
Integer = NDArray[np.int64]


class Atlas:
    """Statistics of K classes; arrays are read when first asked for.

    p is a map divided by its mass, so every p sums to 1; "flow" is said of the map accumulated up
    to a layer, normalised likewise. Statistics of a class without images are NaN.

    Attributes
    ----------
    table : str
        ``label`` or ``predicted``.
    names : tuple of K names
    layers : tuple of L names
    columns : dict
        Column of the summary → kind, which fixes its histogram. ``confidence`` is among them, and
        ``mass_confident``, the accumulated mass of the images the model is confident about.
    """

    def __init__(self, run: Run, table: str) -> None:
        self.table = table
        self._run = run
        self._flat: pa.Table = run.table(table_path(table))
        self._group = open_group(run, table)
        self.names: tuple[str, ...] = run.spec.classes
        self.layers: tuple[str, ...] = run.spec.layers
        self.columns: dict[str, str] = dict(self._group.attrs["columns"])

    def __repr__(self) -> str:
        return f"Atlas({self.table!r}, {len(self.names)} classes, {int(self.count.sum())} images)"

    @property
    def classes(self) -> Integer:
        """Class indices 0 … K-1, (K,)."""
        return np.arange(len(self.names))

    @property
    def count(self) -> Integer:
        """Images that were not quarantined, (K,)."""
        return self._integers("count")

    @property
    def n_zero(self) -> Integer:
        """Images without any mass, (K,)."""
        return self._integers("n_zero")

    @property
    def n_quarantined(self) -> Integer:
        """Quarantined images, (K,)."""
        return self._integers("n_quarantined")

    @property
    def accuracy(self) -> Float:
        """Share of right answers among the labelled images, (K,); NaN where none is labelled."""
        return np.asarray(self._flat["accuracy"].to_numpy(), dtype=np.float64)

    @cached_property
    def mean(self) -> Float:
        """Class mean of p per layer, (K, L, h, w)."""
        return self._array("mean")

    @cached_property
    def variance(self) -> Float:
        """Class variance of p per layer (population), (K, L, h, w)."""
        return self._array("variance")

    @cached_property
    def flow_mean(self) -> Float:
        """Class mean of the accumulated p up to each layer, (K, L, h, w)."""
        return self._array("flow_mean")

    @cached_property
    def flow_variance(self) -> Float:
        """Class variance of the accumulated p (population), (K, L, h, w)."""
        return self._array("flow_variance")

    @cached_property
    def zero(self) -> Integer:
        """Images whose map of a layer has no mass, (K, L); they are in no mean of that layer."""
        return np.asarray(self._group["zero"][...])

    def mean_flow(self, name: str | int) -> Float:
        """Return the mean accumulated p of one class by name or index, (L, h, w)."""
        return np.asarray(self._group["flow_mean"][self.index(name)])

    def index(self, name: str | int) -> int:
        """Return the index of a class; ConfigError if there is no such class."""
        number = name if isinstance(name, int) else None
        if isinstance(name, str) and name in self.names:
            number = self.names.index(name)
        if number is None or not 0 <= number < len(self.names):
            raise ConfigError(f"there is no class {name!r}; the run has {len(self.names)} classes")
        return number

    def edges(self, column: str) -> Float:
        """Return the bin edges of a column, (bins + 1,)."""
        return np.asarray(self._group[f"edges_{self._kind(column)}"][...])

    def histogram(self, column: str) -> Integer:
        """Return the counts of a column, (K, bins); values beyond the edges are in the end bins."""
        array = self._group[f"histogram_{self._kind(column)}"]
        return np.asarray(array[array.attrs["columns"].index(column)])

    def quantile(self, column: str, q: float | Float) -> Float:
        """Return a quantile of a column from its histogram, (K,): off by at most one bin.

        ``q`` is in [0, 1], one for all classes or (K,).
        """
        return quantile(self.histogram(column), self._kind(column), q)

    def column_mean(self, column: str) -> Float:
        """Return the mean of a column, (K,); the geometric mean where its kind is ``mass``.

        Exact but for rounding (2**-33 of the kind's span per image), not taken from a histogram.
        Values above the histogram's upper end count as that end.
        """
        mean = self.column_moments(column)[0]
        return np.asarray(10.0**mean if self._kind(column) == "mass" else mean)

    def column_moments(self, column: str) -> tuple[Float, Float, Integer]:
        """Return mean, population variance (of log10 where the kind is ``mass``), and number."""
        position = list(self._group.attrs["moments"]).index(column)
        number = self.histogram(column).sum(axis=1)
        mean, variance = self._array("column_mean"), self._array("column_variance")
        return mean[position], variance[position], number

    def typical(self, name: str | int, k: int = 16) -> tuple[Integer, Float]:
        """Return rows and distances of the ``k`` images nearest the class mean, nearest first."""
        return self._extremes("typical", name, k)

    def atypical(self, name: str | int, k: int = 16) -> tuple[Integer, Float]:
        """Return rows and distances of the ``k`` images farthest from it, farthest first."""
        return self._extremes("atypical", name, k)

    @cached_property
    def _typical(self) -> pa.Table:
        return self._run.table(TYPICAL)

    def _extremes(self, kind: str, name: str | int, k: int) -> tuple[Integer, Float]:
        wanted = (
            (pc.field("table") == self.table)
            & (pc.field("class") == self.index(name))
            & (pc.field("kind") == kind)
            & (pc.field("rank") < k)
        )
        found = self._typical.filter(wanted)
        return found["row"].to_numpy(), found["distance"].to_numpy()

    def _kind(self, column: str) -> str:
        if column not in self.columns:
            raise ConfigError(f"there is no column {column!r} in the atlas; see Atlas.columns")
        return self.columns[column]

    def _integers(self, name: str) -> Integer:
        return np.asarray(self._flat[name].to_numpy())

    def _array(self, name: str) -> Float:
        return np.asarray(self._group[name][...])


def open_atlas(run: Run, table: str = "label") -> Atlas:
    """Open the class statistics of a run.

    Raises
    ------
    ConfigError
        The table is neither ``label`` nor ``predicted``.
    RunIncomplete
        The run was not aggregated, or without this table.
    """
    if table not in TABLES:
        raise ConfigError(f"there is no table {table!r}; choose from {', '.join(TABLES)}")
    if not run.exists(table_path(table)):
        raise RunIncomplete(
            f"{run.uri} has no atlas by {table}; make it with: flowatlas aggregate {run.uri}"
        )
    return Atlas(run, table)
