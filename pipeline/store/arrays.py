"""The Zarr arrays of a run, one shard of each per unit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from obstore.store import ObjectStore
from zarr.abc.store import ByteRequest
from zarr.codecs import ZstdCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import ObjectStore as ZarrStore
from zarr.storage import WrapperStore

from pipeline.files.object_store import repeated
from pipeline.measures.activations import EDGES
from pipeline.measures.heads import HEAD_STATISTICS
from pipeline.nouns import counted
from pipeline.store.layout import (
    CHANNEL_PEAKS,
    DIMENSIONS,
    FEATURES,
    FLOWS,
    HEADS,
    LOGITS,
    MAPS,
    MAPS_LABEL,
    SCALE,
    SCALE_LABEL,
    STATUS,
    RunSpec,
    Unit,
)
from pipeline.store.receipts import StoredObject, stored_object

_CHUNK_ROWS = 512
"""Rows of an inner chunk: what a reader of one image has to decode."""

_SCALED = {MAPS: SCALE, MAPS_LABEL: SCALE_LABEL}
_CHUNKED = (*_SCALED, FEATURES, LOGITS, HEADS, CHANNEL_PEAKS)
"""Arrays that are large enough for inner chunks."""


class _RecordingStore(WrapperStore[ZarrStore[ObjectStore]]):
    """Zarr store that remembers size and hash of every object written through it.

    It sees no shards: Zarr would read an old one before replacing it whole, and fail if it is torn.
    """

    def __init__(self, store: ZarrStore[ObjectStore]) -> None:
        super().__init__(store)
        self.written: dict[str, StoredObject] = {}

    async def set(self, key: str, value: Buffer) -> None:
        content = value.to_bytes()
        self.written[key] = stored_object(key, content)
        await super().set(key, value)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        return None if "/c/" in key else await super().get(key, prototype, byte_range)


@repeated
def create_arrays(store: ObjectStore, spec: RunSpec) -> None:
    """Write the metadata of the run's arrays; the same bytes however often it is called."""
    group = zarr.open_group(
        ZarrStore(store),
        path=FLOWS,
        mode="a",
        attributes={
            "layers": list(spec.layers),
            "classes": "names and indices are in run.json",
            "value": "maps * scale is the raw map: not accumulated, not normalised",
        },
    )
    rows, unit_rows = spec.rows, spec.unit_rows
    chunk_rows = _chunk_rows(unit_rows)
    dtypes = {MAPS: spec.dtype, MAPS_LABEL: spec.dtype, STATUS: "uint8", HEADS: "float16"}
    dtypes[CHANNEL_PEAKS] = "float16"
    heads: Any = {"layers": list(spec.head_layers), "statistics": list(HEAD_STATISTICS)}
    for name, shape in spec.arrays.items():
        if name in group:
            continue
        group.create_array(
            name,
            shape=(rows, *shape),
            shards=(unit_rows, *shape),
            chunks=(
                chunk_rows if name in _CHUNKED else unit_rows,
                *shape,
            ),
            dtype=dtypes.get(name, "float32"),
            compressors=ZstdCodec(level=3, checksum=True),
            dimension_names=DIMENSIONS[name],
            fill_value=0,
            attributes=heads if name == HEADS else None,
        )
    for name, shape in spec.unit_arrays.items():
        if name in group:
            continue
        group.create_array(
            name,
            shape=(len(spec.units), *shape),
            chunks=(1, *shape),
            dtype="uint32",
            compressors=[ZstdCodec(level=3, checksum=True)],
            dimension_names=DIMENSIONS[name],
            fill_value=0,
            attributes={"edges": EDGES.tolist()},
        )


def _chunk_rows(unit_rows: int) -> int:
    """Return the largest divisor of a shard's rows that is no more than the chunk limit."""
    return next(n for n in range(min(unit_rows, _CHUNK_ROWS), 0, -1) if unit_rows % n == 0)


def write_shards(
    store: ObjectStore, spec: RunSpec, unit: Unit, arrays: Mapping[str, NDArray[Any]]
) -> tuple[StoredObject, ...]:
    """Write a unit's shard of every array and return what was stored.

    Parameters
    ----------
    arrays : name → values
        The maps raw, (n, L, h, w) float32 each; status (n,) uint8; features (n, C) and
        logits (n, K) float32; heads (n, L, H, S) and channel_peaks (n, L, C) float16;
        channel_counts (L, C, bins) uint32, of the whole unit.

    Raises
    ------
    ValueError
        An array is missing or does not fit, or the rows are not exactly one shard. Zarr would
        merge a part into a shard without a word, and two writers of one shard lose rows.
    """
    if unit.lo % spec.unit_rows or len(unit) != min(spec.unit_rows, spec.rows - unit.lo):
        raise ValueError(
            f"rows [{unit.lo}, {unit.hi}) are not one shard of {counted(spec.unit_rows, 'row')}"
        )
    contents = dict(arrays)
    for name in _SCALED.keys() & arrays.keys():
        maps = np.asarray(arrays[name], np.float32)
        scale = contents[_SCALED[name]] = power_of_two_scale(maps)
        contents[name] = (maps / scale[:, :, None, None]).astype(spec.dtype)
    shapes = {name: content.shape for name, content in contents.items()}
    wanted = {name: (len(unit), *shape) for name, shape in spec.arrays.items()} | spec.unit_arrays
    if shapes != wanted:
        raise ValueError(f"unit {unit.id}: arrays {shapes} do not fit {wanted}")
    recorder = _RecordingStore(ZarrStore(store))
    for name in wanted:
        # Without this a shard of zeros (all images quarantined) would not be written at all.
        array = zarr.open_array(recorder, path=f"{FLOWS}/{name}", mode="r+").with_config(
            {"write_empty_chunks": True}
        )
        place = slice(unit.lo, unit.hi) if name in spec.arrays else unit.id
        array[place] = contents[name]
    return tuple(recorder.written[path] for path in spec.shard_paths(unit.id).values())


def power_of_two_scale(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return per image and layer the least power of two that is no less than the map's maximum.

    Dividing by it is exact, so float16 keeps 11 significant bits of a map of any magnitude; maps
    that are all zero get 1. Shape (n, L, h, w) → (n, L).
    """
    peak = maps.max(axis=(2, 3))
    exponent = np.ceil(np.log2(np.where(peak > 0, peak, 1.0))).clip(-126, 127)
    return np.ldexp(np.float32(1), exponent.astype(np.int32)).astype(np.float32)
