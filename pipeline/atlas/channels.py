"""The activations of a run, channel by channel: histograms over all of its images.

They are sums of integers over the units, so the same for any number of workers. They are of all
images: a unit has one sum, which knows no class and no filter.
"""

import operator
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.storage import ObjectStore as ZarrStore

from pipeline.atlas.fold import fold
from pipeline.atlas.storage.layout import folder_of
from pipeline.errors import RunIncomplete
from pipeline.measures.activations import EDGES
from pipeline.store import Run, Unit
from pipeline.store.reader import open_run

CHANNELS = "channels.zarr"

Counts = NDArray[np.int64]


def write_channels(run: Run, folder: str, done: Sequence[Unit], workers: int | None) -> None:
    """Add up the counts of units, and store them with an atlas as (layer, channel, bin)."""
    leaf = partial(_counts_of, run.place)
    total = fold(done, [(leaf, 1)], operator.add, workers)
    array: Any = zarr.create_array(
        ZarrStore(run.store),
        name=f"{folder}/{CHANNELS}",
        shape=total.shape,
        chunks=(1, *total.shape[1:]),
        dtype="int64",
        compressors=ZstdCodec(level=3),
        dimension_names=("layer", "channel", "bin"),
        attributes={"layers": list(run.spec.layers), "edges": EDGES.tolist()},
        overwrite=True,
    )
    array[...] = total


def read_channels(run: Run, name: str | None = None) -> Counts:
    """Return how many activations are in each bin, (layer, channel, bin), of an atlas by name.

    Bins are those of :mod:`pipeline.measures.activations`; a layer with fewer channels than another
    has zeros for those it lacks.

    Raises
    ------
    RunIncomplete
        The run counts none, or was not aggregated since.
    """
    path = f"{folder_of(name)}/{CHANNELS}"
    if not run.exists(f"{path}/zarr.json"):
        raise RunIncomplete(
            f"{run.uri} has no histograms of activations; compute it with flow.method: activation "
            f"and flow.channels: true, then: flowatlas aggregate {run.uri}"
        )
    array: Any = zarr.open_array(ZarrStore(run.store, read_only=True), path=path, mode="r")
    return np.asarray(array[...])


def _counts_of(uri: str, units: Sequence[Unit]) -> Counts:
    run = open_run(uri)
    spec = run.spec
    total = np.zeros(spec.unit_arrays["channel_counts"], np.int64)
    for unit in units:
        total += np.asarray(run.channel_counts[unit.id])
    return total
