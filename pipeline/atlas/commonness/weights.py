"""The weights of a run's images, 1 ÷ the number of their near duplicates, as an atlas stores them.

Soft de-duplication (He et al., "SoftDedup", ACL 2024, arXiv 2407.06654: less weight for what is
common, instead of leaving it out), with the weights that sequence analysis gives to homologues
(Morcos et al., PNAS 2011): an image with n near duplicates, itself included, counts 1/n, so thirty
copies of one image count as one image.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec
from zarr.storage import ObjectStore as ZarrStore

from pipeline.atlas.commonness.near_duplicates import near_duplicates_of
from pipeline.atlas.statistics.sums import WEIGHT_ONE
from pipeline.atlas.storage.layout import FOLDER
from pipeline.store import Run, Unit

COMMONNESS = "commonness.zarr"

Integer = NDArray[np.int64]


def write_commonness(run: Run, path: str) -> None:
    """Count the near duplicates of every image, and store (row, 2), a chunk per unit.

    Of each row the number of near duplicates, and the first row of them.

    Raises
    ------
    RunIncomplete
        The run has neither hashes nor embeddings.
    """
    values = np.stack(near_duplicates_of(run), axis=1)
    array = zarr.create_array(
        ZarrStore(run.store),
        name=path,
        shape=values.shape,
        chunks=(run.spec.unit_rows, 2),
        dtype="int64",
        compressors=ZstdCodec(level=3),
        dimension_names=("image", "near_duplicates"),
        attributes={"value": "near duplicates of each row, itself included; the first row of them"},
        overwrite=True,
    )
    array[...] = values


def read_commonness(run: Run, path: str, block: Sequence[Unit]) -> tuple[Integer, Integer]:
    """Return weights of some units' rows in 1 ÷ ``WEIGHT_ONE``, and their first near duplicates."""
    stored = _open(run, path)
    values = np.concatenate([np.asarray(stored[unit.lo : unit.hi]) for unit in block])
    return weights(values[:, 0]), values[:, 1]


def weights(count: Integer) -> Integer:
    """Return the weights of images with so many near duplicates, at least 1 ÷ ``WEIGHT_ONE``."""
    found: Integer = np.maximum(np.rint(WEIGHT_ONE / count), 1).astype(np.int64)
    return found


def distinct_rows(run: Run) -> NDArray[np.bool_] | None:
    """Return which rows have no near duplicate before them, (rows,).

    None if the run's own atlas has no weights.
    """
    path = f"{FOLDER}/{COMMONNESS}"
    if not run.exists(f"{path}/zarr.json"):
        return None
    found: NDArray[np.bool_] = np.asarray(_open(run, path)[:, 1]) == np.arange(run.spec.rows)
    return found


def _open(run: Run, path: str) -> Any:
    return zarr.open_array(ZarrStore(run.store, read_only=True), path=path, mode="r")
