"""``Sample``: some images of a run as its model gets them, with their flows and boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
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

    ``pixels`` (n, 3, H, W) uint8; ``targets`` (n,) the explained classes, None if there are none;
    ``flows`` (n, cells) accumulated over the layers; ``cover`` (n, cells) the part of every cell
    inside the objects' boxes; ``boxes`` (n, K, 4) in fractions of the input, padded with NaN;
    ``labels`` (n,), -1 for none.
    """

    pixels: Tensor
    targets: Tensor | None
    flows: Float
    cover: Float
    boxes: Tensor
    labels: NDArray[np.int64]


def draw(context: Context, images: int) -> Sample:
    """Draw usable images of a finished run by lot, the same ones each time.

    Images that cannot be read now are left out.
    """
    run = context.run
    columns = ["row", "status", "target", "label", "mass_flow"]
    table = run.summary().to_table(columns=columns).sort_by("row")
    fine = (table["status"].to_numpy() == Status.OK) & (
        np.nan_to_num(table["mass_flow"].to_numpy()) > 0
    )
    chosen = np.random.default_rng(_SEED).permutation(np.flatnonzero(fine))[:images]
    rows = table["row"].to_numpy()[chosen].tolist()
    found = [load_image(_indexed(run, row), context.images, (), Clock()) for row in rows]
    usable = np.array([loaded.pixels is not None for loaded in found], bool)
    kept = [loaded for loaded in found if loaded.pixels is not None]
    targets = table["target"].fill_null(-1).to_numpy()[chosen][usable].astype(np.int64)
    boxes = _padded([own.boxes_of(int(n)) for own, n in zip(kept, targets, strict=True)])
    return Sample(
        pixels=torch.from_numpy(_stacked([loaded.pixels for loaded in kept], _size(run), np.uint8)),
        targets=torch.from_numpy(targets) if len(targets) and (targets >= 0).all() else None,
        flows=_stacked([_flow(run, loaded.image.row) for loaded in kept], _cells(run), np.float64),
        cover=coverage(boxes, run.spec.grid).double().numpy(),
        boxes=boxes,
        labels=table["label"].fill_null(-1).to_numpy()[chosen][usable].astype(np.int64),
    )


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
