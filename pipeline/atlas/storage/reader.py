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
from pipeline.atlas.statistics.pooled import POOLED_ONE, open_pooled
from pipeline.atlas.statistics.rates import rate_of
from pipeline.atlas.storage.class_names import find_class
from pipeline.atlas.storage.column_reader import ColumnReader
from pipeline.atlas.storage.layout import POOLED, TYPICAL, open_group, table_path
from pipeline.errors import RunIncomplete
from pipeline.nouns import counted
from pipeline.store import Run

Float = NDArray[np.float64]
Integer = NDArray[np.int64]


class Atlas(ColumnReader):
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
        ``units``, ``complete``, and ``weights`` where images have some.
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
        super().__init__(open_group(run, folder, table), weighted="weights" in facts)
        self.names: tuple[str, ...] = tuple(self._group.attrs["classes"])
        self.layers: tuple[str, ...] = run.spec.layers
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
    def weight(self) -> Float:
        """Sum of the images' weights, (K,): how many distinct images there are.

        Copies share their errors, so this is the number that significance rests on. Without
        weights it is ``count``.
        """
        return self._floats("weight") if self.weighted else self.count.astype(np.float64)

    @property
    def kish(self) -> Float:
        """Kish's effective sample size (Σ w)² ÷ Σ w², (K,): as if the images were independent."""
        return self._floats("kish") if self.weighted else self.count.astype(np.float64)

    @property
    def weight_with_mass(self) -> Float:
        """Sum of the weights of the images with any mass, (K,): what class means are made of."""
        return np.asarray(np.maximum(self.weight - self.n_zero, 0))

    @property
    def n_zero(self) -> Integer:
        """Images without any mass, (K,); where images have weights, the sum of these, rounded."""
        return self._integers("n_zero")

    @property
    def n_quarantined(self) -> Integer:
        """Quarantined images, (K,)."""
        return self._integers("n_quarantined")

    @property
    def n_labelled(self) -> Integer:
        """Images that have a label and were not quarantined, (K,): those of ``accuracy``.

        The sum of their weights, rounded, where they have some.
        """
        return self._integers("n_labelled")

    @property
    def accuracy(self) -> Float:
        """Share of right answers among the labelled rows, (K,); NaN where there are none.

        It is an accuracy only where ``rate`` says so.
        """
        return self._floats(self.rate)

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

    def _floats(self, name: str) -> Float:
        return np.asarray(self._flat[name].to_numpy(), dtype=np.float64)

    def _integers(self, name: str) -> Integer:
        return np.asarray(self._flat[name].to_numpy())
