"""``Atlas``: class statistics as a person or a later step reads them."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.atlas.head_groups import HeadGroups, group_heads
from pipeline.atlas.statistics.axes import similarity
from pipeline.atlas.statistics.binning import quantile
from pipeline.atlas.statistics.bootstrap import Replicates
from pipeline.atlas.statistics.pooled import POOLED_ONE, open_pooled
from pipeline.atlas.statistics.rates import rate_of
from pipeline.atlas.storage.class_names import find_class
from pipeline.atlas.storage.layout import POOLED, TYPICAL, open_group, table_path
from pipeline.errors import ConfigError, RunIncomplete
from pipeline.nouns import counted
from pipeline.store import Run

Float = NDArray[np.float64]
Integer = NDArray[np.int64]


class Atlas:
    """Statistics of K classes; arrays are read when first asked for.

    p is a map divided by its mass, so every p sums to 1; "flow" is the map accumulated up to
    a layer, normalised likewise. Statistics of a class without images are NaN.

    Attributes
    ----------
    table : str
        ``label``, ``predicted``, ``outcome`` (class c right at 2 c, wrong at 2 c + 1), or the
        column that the images were grouped by (and per class: c of value v at ``c * values + v``).
    facts : dict
        What the atlas is of: ``name``, ``where``, ``by``, ``per``, ``target``, ``images``,
        ``units``, ``complete``.
    names : tuple of K names
    layers : tuple of L names
    columns : dict
        Column of the summary → kind, which fixes its histogram. ``confidence`` is among them, and
        ``mass_confident``, the accumulated mass of the images the model is confident about.
    rate : str
        What the share of right answers is: ``accuracy``, or where images have several labels
        ``recall`` or ``precision`` (see :mod:`pipeline.atlas.statistics.rates`).
    """

    def __init__(self, run: Run, folder: str, table: str, facts: Mapping[str, Any]) -> None:
        self.table = table
        self.facts = dict(facts)
        self._run = run
        self._folder = folder
        self._flat: pa.Table = run.table(table_path(folder, table))
        self._group = open_group(run, folder, table)
        self.names: tuple[str, ...] = tuple(self._group.attrs["classes"])
        self.layers: tuple[str, ...] = run.spec.layers
        self.columns: dict[str, str] = dict(self._group.attrs["columns"])
        self.rate = rate_of(run.spec, table)

    def __repr__(self) -> str:
        images = counted(int(self.count.sum()), "image")
        return f"Atlas({self.table!r}, {counted(len(self.names), 'class')}, {images})"

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
    def n_labelled(self) -> Integer:
        """Images that have a label and were not quarantined, (K,): those of ``accuracy``."""
        return self._integers("n_labelled")

    @property
    def accuracy(self) -> Float:
        """Share of right answers among the labelled rows, (K,); NaN where there are none.

        It is an accuracy only where ``rate`` says so.
        """
        return np.asarray(self._flat[self.rate].to_numpy(), dtype=np.float64)

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
        """Return the index of a class; ConfigError if there is no such class, or more than one."""
        return find_class(name, self.names)

    def edges(self, column: str) -> Float:
        """Return the bin edges of a column, (bins + 1,)."""
        return np.asarray(self._group[f"edges_{self._kind(column)}"][...])

    def histogram(self, column: str) -> Integer:
        """Return the counts of a column, (K, bins); values beyond the edges are in the end bins."""
        array = self._group[f"histogram_{self._kind(column)}"]
        return np.asarray(array[array.attrs["columns"].index(column)], dtype=np.int64)

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

    def sample(self, name: str | int) -> tuple[Integer, Float]:
        """Return rows of up to 256 random images of a class, and their pooled maps, (n, y, x).

        The rows are the same in every atlas that has them, and each map sums to 1. Images without
        any mass are not among them.
        """
        own = np.asarray(self._group["sample_class"][...]) == self.index(name)
        pooled = np.asarray(self._group["sample"][...])[own] / float(POOLED_ONE)
        return np.asarray(self._group["sample_row"][...])[own], pooled

    def pooled(self, lo: int, hi: int) -> Float:
        """Return the pooled maps of rows ``[lo, hi)``, (n, y, x); they sum to 1, or to 0."""
        fixed = open_pooled(self._run, f"{self._folder}/{POOLED}")[lo:hi]
        pooled = np.asarray(fixed, dtype=np.float64)
        mass = pooled.sum(axis=(1, 2), keepdims=True)
        return np.asarray(pooled / np.where(mass > 0, mass, 1))

    @cached_property
    def pooled_mean(self) -> Float:
        """Class mean of the pooled accumulated p, (K, y, x) with 7 boxes to the side at most."""
        return self._array("pooled_mean")

    @cached_property
    def axes(self) -> Float:
        """Principal axes of the pooled accumulated p of each class, (K, 3, y, x), orthonormal."""
        return self._array("axes")

    @cached_property
    def axis_variance(self) -> Float:
        """Variance along the principal axes, (K, 3)."""
        return self._array("axis_variance")

    @cached_property
    def axis_explained(self) -> Float:
        """Share of all variance that is along each axis, (K, 3)."""
        return self._array("axis_explained")

    @cached_property
    def scores(self) -> Integer:
        """Histogram of the images' places along the first axis, (K, 64).

        In standard deviations from the class mean, from -4 to 4, the end bins open outwards.
        """
        return np.asarray(self._group["scores"][...])

    @cached_property
    def bimodality(self) -> Float:
        """Sarle's coefficient of the places along the first axis, (K,): 1/3 normal, 5/9 uniform."""
        return self._array("bimodality")

    @cached_property
    def reliability(self) -> Float:
        """Split-half reliability of what sets each class' mean map apart from the others, (K,)."""
        return self._array("reliability")

    def similarity(self) -> Float:
        """Return how alike the mean maps of classes are beyond what all share, (K, K) in [-1, 1].

        Correlations divided by reliabilities: see
        :func:`pipeline.atlas.statistics.axes.similarity`.
        """
        means = self.pooled_mean.reshape(len(self.names), -1)
        return similarity(means, self.reliability)

    @cached_property
    def head_mean(self) -> Float:
        """Class means of the statistics of attention heads, (K, L, H, S); NaN without a value.

        L layers, H heads and the S statistics of :mod:`pipeline.measures.heads`. Raises
        ``RunIncomplete`` where the run stores none.
        """
        return self._of_heads("head_mean")

    @cached_property
    def head_variance(self) -> Float:
        """Their class variances (population), (K, L, H, S)."""
        return self._of_heads("head_variance")

    @cached_property
    def head_known(self) -> Integer:
        """How many images of a class have each, (K, L, H, S)."""
        return np.asarray(self._of_heads("head_known"))

    def head_groups(self) -> HeadGroups:
        """Return groups of heads that behave alike; see :mod:`pipeline.atlas.head_groups`."""
        return group_heads(self.head_mean, self.head_known)

    def _of_heads(self, name: str) -> Float:
        if not self._run.spec.heads:
            raise RunIncomplete(
                f"{self._run.uri} stores no heads; compute it with flow.heads: true"
            )
        return self._array(name)

    def interval(self, statistic: str) -> tuple[Float, Float]:
        """Return the ends of a 95 % bootstrap interval, (K,) each.

        ``statistic`` is ``rate`` or a column whose mean has replicates.
        """
        low, high = self._intervals
        position = self._statistic(statistic)
        return low[position], high[position]

    def replicates(self, statistic: str) -> Float:
        """Return the bootstrap replicates of ``rate`` or of a column's mean, (K, replicates)."""
        return np.asarray(self._group["replicates"][self._statistic(statistic)])

    @cached_property
    def _intervals(self) -> tuple[Float, Float]:
        statistics = tuple(self._group["replicates"].attrs["statistics"])
        return Replicates(statistics, self._array("replicates")).intervals()

    def _statistic(self, name: str) -> int:
        statistics = list(self._group["replicates"].attrs["statistics"])
        if name not in statistics:
            raise ConfigError(f"{name!r} was not replicated; choose from {', '.join(statistics)}")
        return statistics.index(name)

    @cached_property
    def _typical(self) -> pa.Table:
        return self._run.table(f"{self._folder}/{TYPICAL}")

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
