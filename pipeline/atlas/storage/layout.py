"""How an atlas lies on disk: one Zarr group and one flat Parquet table per table of classes.

::

    atlas/label.zarr/      mean, variance, flow_mean, flow_variance (class, layer, y, x)
                           zero, flow_zero (class, layer)
                           histogram_<kind> (<kind>_column, class, <kind>_bin), edges_<kind>
                           column_mean, column_variance (column, class)
                           replicates (statistic, class, replicate)
                           pooled_mean (class, pooled_y, pooled_x), reliability (class,)
                           axes (class, axis, pooled_y, pooled_x)
                           axis_variance, axis_explained (class, axis)
                           scores (class, score_bin), bimodality (class,)
                           sample_row, sample_class (sample,), sample (sample, pooled_y, pooled_x)
                           of a run with heads: head_known, head_mean, head_variance
                           (class, head_layer, head, statistic)
    atlas/label.parquet    one row per class
    atlas/typical.parquet  table, class, kind, rank, row, distance
    atlas/pooled.zarr      (image, pooled_y, pooled_x): see pipeline.atlas.pooled
    atlas/channels.zarr    (layer, channel, bin): histograms of activations, where a run has them
    atlas/commonness.zarr  (image, near_duplicates), of a weighted atlas: number and first row
    atlas/fold.state/      sums of an unfinished run
    atlas/atlas.json       what the atlas is of; written last, so it marks the atlas as complete
    atlas/NAME/…           the same of a named atlas: a subset of the images, or other groups
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import ConfigError
from pipeline.store import Column, Run
from pipeline.store.objects import delete, sizes

FOLDER = "atlas"
POOLED, STATE, TYPICAL = "pooled.zarr", "fold.state", "typical.parquet"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def folder_of(name: str | None) -> str:
    """Return the folder of a named atlas, or of the run's own.

    Raises
    ------
    ConfigError
        It is no name: letters, digits, ``_`` and ``-`` only.
    """
    if name is None:
        return FOLDER
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"an atlas cannot be named {name!r}: use up to 64 letters, digits, _ and -"
        )
    return f"{FOLDER}/{name}"


def facts_path(folder: str) -> str:
    """Return the path of the object that says what an atlas is of."""
    return f"{folder}/atlas.json"


def table_path(folder: str, table: str) -> str:
    """Return the path of a table's Parquet object."""
    return f"{folder}/{table}.parquet"


def open_group(run: Run, folder: str, table: str, mode: str = "r") -> Any:
    """Open the Zarr group of a table."""
    import zarr  # here, as the paths of an atlas need no Zarr
    from zarr.storage import ObjectStore as ZarrStore

    store = ZarrStore(run.store, read_only=mode == "r")
    return zarr.open_group(store, path=f"{folder}/{table}.zarr", mode=mode)  # type: ignore[arg-type]


def clear(run: Run, folder: str, keep: Sequence[str] = ()) -> None:
    """Delete an atlas, what marks it as complete first, but for what ``keep`` names.

    Atlases of other names stay: their folders have no dot in their names.
    """
    delete(run.store, facts_path(folder))
    for path in sizes(run.store, folder):
        part = path.removeprefix(f"{folder}/").partition("/")[0]
        if "." in part and part not in keep:
            delete(run.store, path)


def write_facts(run: Run, folder: str, facts: Mapping[str, object]) -> None:
    """Say what an atlas is of, and so that it is complete."""
    run.write(facts_path(folder), json.dumps(facts, indent=1, sort_keys=True).encode())


def create_group(
    run: Run, folder: str, table: str, names: Sequence[str], columns: Sequence[Column]
) -> Any:
    """Create the group of a table of classes ``names``, without any array."""
    group = open_group(run, folder, table, mode="w-")
    group.update_attributes(
        {
            "layers": list(run.spec.layers),
            "classes": list(names),
            "columns": {column.name: column.kind for column in columns},
            "value": "statistics of p = map / mass per layer, and of the accumulated map (flow_)",
        }
    )
    return group
