"""``Sample``: some images of a run as its model gets them, with their flows and boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engine.batch import IndexedImage, indexed_images, load_image
from pipeline.engine.context import Context
from pipeline.engine.usage.clock import Clock
from pipeline.measures.boxes import coverage
from pipeline.store import Run, Status

_SEED = 0

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Sampled images.

    ``rows`` (n,); ``pixels`` (n, 3, H, W) uint8; ``targets`` (n,) the explained classes, None if
    there are none; ``flows`` (n, cells) accumulated over the layers; ``cover`` (n, cells) the part
    of every cell inside the objects' boxes; ``boxes`` (n, K, 4) in fractions of the input, padded
    with NaN; ``labels`` (n,), -1 for none.
    """

    rows: NDArray[np.int64]
    pixels: Tensor
    targets: Tensor | None
    flows: Float
    cover: Float
    boxes: Tensor
    labels: NDArray[np.int64]


def draw(context: Context, images: int) -> Sample:
    """Draw usable images of a finished run at random, the same ones each time.

    Images that cannot be read now are left out.
    """
    return load(context, drawn_rows(context.run, images))


def drawn_rows(run: Run, images: int) -> list[int]:
    """Return rows of usable images of a finished run, drawn at random; more begin with fewer."""
    table = run.summary().to_table(columns=["row", "status", "mass_flow"]).sort_by("row")
    fine = (table["status"].to_numpy() == Status.OK) & (
        np.nan_to_num(table["mass_flow"].to_numpy()) > 0
    )
    chosen = np.random.default_rng(_SEED).permutation(np.flatnonzero(fine))[:images]
    rows: list[int] = table["row"].to_numpy()[chosen].tolist()
    return rows


def load(context: Context, rows: Sequence[int]) -> Sample:
    """Read images of a finished run; those that cannot be read now are left out."""
    run = context.run
    known = {row["row"]: row for row in _answers(run, rows)}
    found = [load_image(_indexed(run, row), context.images, (), Clock()) for row in rows]
    kept = [loaded for loaded in found if loaded.pixels is not None]
    own = [known[loaded.image.row] for loaded in kept]
    targets = np.array([-1 if row["target"] is None else row["target"] for row in own], np.int64)
    boxes = _padded([image.boxes_of(int(n)) for image, n in zip(kept, targets, strict=True)])
    return Sample(
        rows=np.array([row["row"] for row in own], np.int64),
        pixels=torch.from_numpy(_stacked([loaded.pixels for loaded in kept], _size(run), np.uint8)),
        targets=torch.from_numpy(targets) if len(targets) and (targets >= 0).all() else None,
        flows=_stacked([_flow(run, row["row"]) for row in own], _cells(run), np.float64),
        cover=coverage(boxes, run.spec.grid).double().numpy(),
        boxes=boxes,
        labels=np.array([-1 if row["label"] is None else row["label"] for row in own], np.int64),
    )


def _answers(run: Run, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Return row, label and explained class of some rows, reading only the parts that hold them."""
    units = sorted({row // run.spec.unit_rows for row in rows})
    parts = [run.summary_part(unit, ["row", "target", "label"]) for unit in units]
    wanted = pa.array(sorted(rows), pa.int64())
    return [
        found for part in parts for found in part.filter(pc.is_in(part["row"], wanted)).to_pylist()
    ]


def _indexed(run: Run, row: int) -> IndexedImage:
    return indexed_images(run.index_rows(row, row + 1), run.box_rows(row, row + 1))[0]


def _flow(run: Run, row: int) -> Float:
    """Return the accumulated flow of a row, (cells,)."""
    flow: Float = run.read_maps(row, row + 1).sum(axis=(0, 1), dtype=np.float64).reshape(-1)
    return flow


def _cells(run: Run) -> tuple[int]:
    return (run.spec.grid[0] * run.spec.grid[1],)


def _size(run: Run) -> tuple[int, int, int]:
    height, width = run.spec.input["size"]
    return (3, height, width)


def _stacked(arrays: Sequence[Any], shape: tuple[int, ...], kind: type) -> NDArray[Any]:
    return np.stack(arrays) if len(arrays) else np.empty((0, *shape), kind)


def _padded(boxes: Sequence[NDArray[np.float32]]) -> Tensor:
    """Return the boxes of n images as (n, K, 4), K ≥ 1, padded with NaN."""
    most = max(1, *(len(own) for own in boxes), 1)
    padded = np.full((len(boxes), most, 4), np.nan, np.float32)
    for place, own in enumerate(boxes):
        padded[place, : len(own)] = own
    return torch.from_numpy(padded)
