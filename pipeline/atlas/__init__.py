"""Class statistics of a run: exact sums, folded by Dask into the same bytes in any order."""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.atlas.aggregation import aggregate
    from pipeline.atlas.channels import read_channels
    from pipeline.atlas.commonness.hashes import BITS
    from pipeline.atlas.commonness.near_duplicates import ALIKE
    from pipeline.atlas.commonness.weights import distinct_rows
    from pipeline.atlas.fold import cluster
    from pipeline.atlas.statistics.membership import CONFIDENT, CONFIDENT_MASS, TABLES
    from pipeline.atlas.storage.catalogue import choose_atlas, open_atlas
    from pipeline.atlas.storage.reader import Atlas
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "aggregation": ("aggregate",),
            "channels": ("read_channels",),
            "commonness.hashes": ("BITS",),
            "commonness.near_duplicates": ("ALIKE",),
            "commonness.weights": ("distinct_rows",),
            "fold": ("cluster",),
            "statistics.membership": ("CONFIDENT", "CONFIDENT_MASS", "TABLES"),
            "storage.catalogue": ("choose_atlas", "open_atlas"),
            "storage.reader": ("Atlas",),
        },
    )

__all__ = [
    "ALIKE",
    "BITS",
    "CONFIDENT",
    "CONFIDENT_MASS",
    "TABLES",
    "Atlas",
    "aggregate",
    "choose_atlas",
    "cluster",
    "distinct_rows",
    "open_atlas",
    "read_channels",
]
