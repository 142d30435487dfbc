"""``Order``: which statistics of a run to compute; sent to Dask's workers."""

from dataclasses import dataclass
from typing import Literal

from pipeline.atlas.filter import Where
from pipeline.atlas.statistics.membership import Tables

Target = Literal["predicted", "label"]


@dataclass(frozen=True)
class Order:
    """Where a run is, where to write its pooled maps, and which tables of which images to compute.

    ``uri`` is absolute, because a worker may have another working directory; ``target`` selects
    the maps of a run that has two sets; ``weights`` is where the numbers are that weights are made
    of, None where every image counts the same.
    """

    uri: str
    pooled: str
    tables: Tables
    where: Where | None
    target: Target = "predicted"
    weights: str | None = None
