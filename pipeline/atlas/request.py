"""``Order``: what is asked of a run, as it travels to Dask's workers."""

from dataclasses import dataclass
from typing import Literal

from pipeline.atlas.filter import Where
from pipeline.atlas.statistics.membership import Tables

Target = Literal["predicted", "label"]


@dataclass(frozen=True)
class Order:
    """Where a run is, where its pooled maps go, which tables of which images are wanted.

    ``uri`` is absolute, because a worker may have another working directory; ``target`` says of
    which class the maps are, in a run that has them of two.
    """

    uri: str
    pooled: str
    tables: Tables
    where: Where | None
    target: Target = "predicted"
