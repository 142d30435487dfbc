"""``State``: everything the first look at the images adds up, for some units of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pipeline.atlas.statistics import bootstrap, columns, covariance, histograms, maps, sums
from pipeline.atlas.statistics.bootstrap import main_columns
from pipeline.atlas.statistics.columns import atlas_columns
from pipeline.atlas.statistics.histograms import Histograms
from pipeline.atlas.statistics.pooled import pooled_grid
from pipeline.atlas.statistics.sums import ClassSums
from pipeline.measures import edges
from pipeline.store import RunSpec


@dataclass(frozen=True)
class State:
    """Sums per cell of maps, pooled maps, columns and bootstrap replicates.

    A commutative monoid: :func:`empty`, :func:`merge`; what adds to it is in
    :mod:`pipeline.atlas.tasks`.
    """

    maps: ClassSums
    pooled: ClassSums
    moments: ClassSums
    replicates: ClassSums
    histograms: Histograms

    def pack(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays by name."""
        return {
            f"{field}.{name}": array
            for field, part in vars(self).items()
            for name, array in part.pack().items()
        }

    def unpack(self, packed: Mapping[str, NDArray[Any]]) -> "State":
        """Fill this empty state with what :meth:`pack` returned; return itself."""
        for field, part in vars(self).items():
            own = {name.partition(".")[2]: a for name, a in packed.items() if _of(name) == field}
            part.unpack(own)
        return self


def _of(name: str) -> str:
    return name.partition(".")[0]


def empty(spec: RunSpec, cells: int) -> State:
    """Return the neutral element of :func:`merge`."""
    kept = atlas_columns(spec.columns)
    grid = pooled_grid(spec.grid)
    return State(
        maps=ClassSums(cells, maps.shapes(len(spec.layers), spec.grid)),
        pooled=ClassSums(cells, covariance.shapes(grid[0] * grid[1])),
        moments=ClassSums(cells, columns.shapes(kept)),
        replicates=ClassSums(cells, bootstrap.shapes(main_columns(kept))),
        histograms=Histograms(cells, [len(edges(column.kind)) - 1 for column in kept]),
    )


def merge(*parts: State) -> State:
    """Return the sum of the parts; no part is changed."""

    def merged(field: str) -> ClassSums:
        found: Sequence[ClassSums] = [getattr(part, field) for part in parts]
        return sums.merge(found)

    return State(
        maps=merged("maps"),
        pooled=merged("pooled"),
        moments=merged("moments"),
        replicates=merged("replicates"),
        histograms=histograms.merge([part.histograms for part in parts]),
    )
