"""A real run, written through the store, with random but plausible maps; no images, no model."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipeline.config import DatasetConfig, ModelConfig, RunConfig
from pipeline.images.index import INDEX_SCHEMA
from pipeline.measures import columns, measure
from pipeline.store import (
    Column,
    Run,
    RunSpec,
    Status,
    Unit,
    UnitData,
    commit_unit,
    create_run,
    finalize,
    open_run,
    open_store,
)
from pipeline.store.layout import summary_schema
from tests.store.runs import spooled

QUARANTINED = 0.01
WRONG = 0.1
WITHOUT_MASS = 0.005


class _Flow(NamedTuple):
    maps: torch.Tensor
    extras: dict[str, torch.Tensor]


class Drawn(NamedTuple):
    """What was drawn for all images, before it was stored."""

    maps: NDArray[np.float32]
    status: NDArray[np.uint8]
    label: NDArray[np.int32]
    pred: NDArray[np.int32]
    confidence: NDArray[np.float32]
    tagged: NDArray[np.bool_]


def synthetic_run(
    folder: str | Path,
    images: int = 600,
    classes: int = 4,
    seed: int = 0,
    layers: int = 3,
    grid: tuple[int, int] = (6, 6),
    tag_class: int | None = None,
    tag_share: float = 0.25,
    *,
    unit_rows: int = 64,
    variety: float = 0.1,
    dtype: str = "float16",
    label_maps: bool = False,
    hashes: bool = False,
    copied: tuple[int, int] | None = None,
    heads: int = 0,
) -> Run:
    """Write a finished run and open it.

    Labels go round the classes. Maps are blobs near the centre over a faint floor; a tagged image
    (``tag_share`` of ``tag_class``) has a bright top-left corner, a weaker object and a sure
    model. ``variety`` is how much the classes differ by nature (standard deviation of the log
    mass, and of the blob's place in tenths of the frame). With ``hashes`` every image has a hash of
    its own; ``copied`` (class, n) makes the first n usable images of a class copies of one image
    that is looked at only in the top-left corner. A few images are quarantined, some have
    no mass, a tenth is predicted wrongly. ``label_maps`` are the maps seen in a mirror. Of
    ``heads`` attention heads in every layer, head 0 of layer 1 attends to itself in class 3.
    """
    drawn = draw(images, classes, seed, layers, grid, tag_class, tag_share, variety)
    own = np.random.default_rng(seed).integers(1, 1 << 62, images) if hashes else None
    if copied is not None:
        rows = copies(drawn, copied[0])[: copied[1]]
        drawn.maps[rows] = 0
        drawn.maps[rows, :, 0, 0] = 0.05
        drawn.pred[rows], drawn.confidence[rows] = copied[0], 0.95
        own[rows] = own[rows[0]]
    kinds = columns(layers, boxes=False, extras=())
    config = RunConfig(
        run=str(folder),
        dataset=DatasetConfig(source="synthetic"),
        model=ModelConfig(name="synthetic"),
    )
    spec = RunSpec(
        config=config.identity(),
        config_hash=config.hash(),
        code_version="synthetic",
        weights_sha256="0" * 64,
        fingerprint=f"{seed:032x}",
        root=str(folder),
        rows=images,
        unit_rows=unit_rows,
        layers=tuple(f"blocks.{layer}" for layer in range(layers)),
        grid=grid,
        input={
            "size": [grid[0] * 16, grid[1] * 16],
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            "crop_pct": 0.9,
            "crop_mode": "center",
        },
        classes=tuple(f"class {number}" for number in range(classes)),
        columns=tuple(Column(name, kind) for name, kind in kinds.items()),
        dtype=dtype,
        label_maps=label_maps,
        head_layers=tuple(f"blocks.{layer}" for layer in range(layers if heads else 0)),
        heads=heads,
    )
    index = {
        "row": np.arange(images),
        "uri": [f"class_{label}/{row:08d}.png" for row, label in enumerate(drawn.label)],
        "offset": pa.nulls(images),
        "length": pa.nulls(images),
        "label": drawn.label,
        "split": pa.nulls(images),
    }
    store = open_store(str(folder), create=True)
    create_run(store, spec, spooled(_table(index, INDEX_SCHEMA)))
    for unit in spec.units:
        commit_unit(store, spec, unit, _unit_data(drawn, unit, spec, own))
    finalize(store, spec, quarantine_limit=1)
    return open_run(str(folder))


def copies(drawn: Drawn, label: int) -> NDArray[np.int64]:
    """Return the usable images of a class, the first of which ``copied`` makes copies."""
    return np.flatnonzero((drawn.label == label) & (drawn.status == Status.OK))


def draw(
    images: int,
    classes: int,
    seed: int,
    layers: int,
    grid: tuple[int, int],
    tag_class: int | None,
    tag_share: float,
    variety: float,
) -> Drawn:
    """Draw the maps and answers of all images."""
    rng = np.random.default_rng(seed)
    label = (np.arange(images) % classes).astype(np.int32)
    place = (0.5 + 0.1 * variety * rng.standard_normal((classes, 2)))[label]
    log_mass = (variety * rng.standard_normal(classes))[label]
    tagged = np.zeros(images, bool)
    if tag_class is not None:
        tagged = (label == tag_class) & (rng.random(images) < tag_share)

    shape = (images, layers)
    centre = place[:, None] + 0.12 * rng.standard_normal((images, 1, 2))
    centre = centre + 0.05 * rng.standard_normal((*shape, 2))
    width = 0.12 + 0.1 * rng.random(shape)
    strength = np.exp(log_mass[:, None] + 0.35 * rng.standard_normal((images, 1)))
    depth = np.exp(0.6 * np.arange(layers) + 0.3 * rng.standard_normal(shape))
    blob = _blobs(centre, width, grid) + 0.05 * rng.gamma(1.0, 1.0, (*shape, *grid))
    blob *= (strength * np.where(tagged, 0.4, 1.0)[:, None])[..., None, None]
    corner = np.full((images, layers, 2), 0.08) + 0.02 * rng.standard_normal((*shape, 2))
    blob += np.where(tagged, 0.6, 0.0)[:, None, None, None] * _blobs(corner, 0.8 * width, grid)
    maps = 0.01 * depth[..., None, None] * blob

    right = tagged | (rng.random(images) >= WRONG)
    other = (label + rng.integers(1, max(classes, 2), images)) % classes
    maps[rng.random(images) < WITHOUT_MASS] = 0
    maps[rng.random(shape) < WITHOUT_MASS] = 0
    quarantined = rng.random(images) < QUARANTINED
    maps[quarantined] = 0
    confidence = np.where(right, 1 - 0.3 * rng.random(images), 0.3 + 0.6 * rng.random(images))
    return Drawn(
        maps=maps.astype(np.float32),
        status=np.where(quarantined, Status.QUARANTINED, Status.OK).astype(np.uint8),
        label=label,
        pred=np.where(right, label, other).astype(np.int32),
        confidence=np.where(tagged, 0.99, confidence).astype(np.float32),
        tagged=tagged,
    )


def _blobs(
    centre: NDArray[np.float64], width: NDArray[np.float64], grid: tuple[int, int]
) -> NDArray[np.float64]:
    """Gaussian bumps: centres (…, 2) as y, x in [0, 1] and widths (…) → (…, h, w)."""
    axes = [((np.arange(side) + 0.5) / side - centre[..., [i]]) for i, side in enumerate(grid)]
    y, x = (np.exp(-((axis / width[..., None]) ** 2) / 2) for axis in axes)
    return y[..., :, None] * x[..., None, :]


def _unit_data(
    drawn: Drawn, unit: Unit, spec: RunSpec, hashes: NDArray[np.int64] | None
) -> UnitData:
    part = Drawn(*(values[unit.lo : unit.hi] for values in drawn))
    ok = part.status == Status.OK
    measured = measure(_Flow(torch.from_numpy(part.maps), {}))
    summary = {
        "row": np.arange(unit.lo, unit.hi),
        "status": part.status,
        "reason": np.where(ok, None, "truncated"),
        "label": part.label,
        "pred": _where(ok, part.pred),
        "target": _where(ok, part.pred),
        "confidence": _where(ok, part.confidence),
        "margin": _where(ok, part.confidence / 2),
        "correct": _where(ok, part.pred == part.label),
        "width": _where(ok, np.full(len(unit), 320)),
        "height": _where(ok, np.full(len(unit), 240)),
        "phash": pa.nulls(len(unit), pa.int64())
        if hashes is None
        else _where(ok, hashes[unit.lo : unit.hi]),
        **{name: _where(ok, column.numpy()) for name, column in measured.items()},
    }
    mirrored = np.flip(part.maps, axis=3).copy() if spec.label_maps else None
    table = _table(summary, summary_schema(spec.columns))
    return UnitData(part.maps, part.status, table, mirrored, heads=_heads(part, unit, spec))


def _heads(part: Drawn, unit: Unit, spec: RunSpec) -> NDArray[np.float16] | None:
    if not spec.heads:
        return None
    rng = np.random.default_rng(unit.id)
    kind = np.linspace(0.1, 0.9, spec.heads)[:, None]
    heads = kind + rng.normal(0, 0.02, (len(unit), *spec.arrays["heads"]))
    heads[part.label == 3, 1, 0, 4] += 0.3
    heads[part.status != Status.OK] = 0
    return heads.clip(0, 1).astype(np.float16)


def _where(ok: NDArray[np.bool_], values: NDArray[np.generic]) -> pa.Array:
    """Null where the image was quarantined or the value does not exist."""
    gone = ~ok | (np.isnan(values) if values.dtype.kind == "f" else False)
    return pa.array(values, mask=gone)


def _table(content: dict[str, object], schema: pa.Schema) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in content.items()}).cast(schema)
