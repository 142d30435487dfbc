"""The statistics of an atlas, and their sums: everything the first pass over the images adds up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray

from pipeline.atlas.statistics.block import FlowBlock, SummaryBlock
from pipeline.atlas.statistics.bootstrap import Bootstrap
from pipeline.atlas.statistics.columns import Columns, atlas_columns
from pipeline.atlas.statistics.covariance import Covariance
from pipeline.atlas.statistics.heads import Heads
from pipeline.atlas.statistics.maps import Maps
from pipeline.atlas.statistics.rates import rate_of
from pipeline.atlas.statistics.statistic import Statistic
from pipeline.store import RunSpec
from pipeline.store.layout import HEADS

State = Mapping[str, Any]
"""Sums of all statistics by name, a commutative monoid: :func:`empty`, :func:`merge`."""


@dataclass(frozen=True)
class Statistics:
    """All statistics of an atlas, by what they read.

    Their columns are in this order in the Parquet table. The maps come first, because others
    read the pooled maps.
    """

    covariance: Covariance
    flows: Sequence[Statistic[FlowBlock]]
    summary: Sequence[Statistic[SummaryBlock]]

    @property
    def every(self) -> tuple[Statistic[Any], ...]:
        """All of them."""
        return (*self.flows, *self.summary)


def statistics_of(spec: RunSpec) -> Statistics:
    """Return the statistics of a run."""
    columns, covariance = atlas_columns(spec.columns), Covariance(spec.grid)
    rate = partial(rate_of, spec)
    flows: list[Statistic[FlowBlock]] = [Maps(len(spec.layers), spec.grid, rate), covariance]
    if spec.heads:
        flows.append(Heads(spec.arrays[HEADS]))
    return Statistics(
        covariance=covariance,
        flows=flows,
        summary=(Columns(columns), Bootstrap(columns, rate)),
    )


def empty(spec: RunSpec, cells: int) -> State:
    """Return the neutral element of :func:`merge`."""
    return {
        name: sums
        for statistic in statistics_of(spec).every
        for name, sums in statistic.empty(cells).items()
    }


def merge(*parts: State) -> State:
    """Return the sum of the parts; no part is changed."""
    return {
        name: type(own).merged([part[name] for part in parts]) for name, own in parts[0].items()
    }


def pack(state: State) -> dict[str, NDArray[Any]]:
    """Return everything as arrays by name."""
    return {
        f"{name}.{key}": array for name, sums in state.items() for key, array in sums.pack().items()
    }


def unpack(spec: RunSpec, cells: int, packed: Mapping[str, NDArray[Any]]) -> State:
    """Return the state from the arrays of :func:`pack`."""
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in packed.items():
        name, _, own = key.partition(".")
        parts.setdefault(name, {})[own] = array
    return {name: sums.unpack(parts.get(name, {})) for name, sums in empty(spec, cells).items()}
