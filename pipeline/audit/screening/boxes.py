"""Boxes: how much of a part and of the object lie on each other, where objects' boxes are known."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.spots import Spot
from pipeline.engine.batch import indexed_images, load_image
from pipeline.engine.context import Context
from pipeline.engine.usage.clock import Clock
from pipeline.measures.boxes import coverage

_CELLS = 32


def on_object(
    rows: Sequence[int], key: str, seen: Tensor, spots: Mapping[int, Spot], context: Context
) -> float | None:
    """Return how far a region and the objects of some images overlap, on average in [0, 1].

    It is the area that they share over the smaller of both: 1 if the region lies inside the boxes,
    and 1 if it holds them, however much of a wide strip lies beside a small object. ``seen``
    (H, W) is where a region lies that does not move, ``spots`` where one lies that does. None of a
    property of the whole image, and where no image has a box.
    """
    part, run = PARTS[key], context.run
    if not part.is_region or "box_area" not in {column.name for column in run.spec.columns}:
        return None
    fixed = functional.adaptive_avg_pool2d(seen[None].float(), _CELLS)[0] > 0.5
    found = []
    for row in rows:
        where = part.mask((_CELLS, _CELLS), spots[row]) if part.moves else fixed
        inside = where.flatten()
        (image,) = indexed_images(run.index_rows(row, row + 1), run.box_rows(row, row + 1))
        boxes = load_image(image, context.images, (), Clock()).boxes
        if len(boxes):
            given = torch.from_numpy(np.asarray(boxes, np.float32).reshape(1, -1, 4))
            found.append(overlap(coverage(given, (_CELLS, _CELLS))[0], inside))
    return float(np.mean(found)) if found else None


def overlap(covered: Tensor, inside: Tensor) -> float:
    """Return what objects and a region share, over the area of the smaller, in [0, 1].

    ``covered`` (n,) is how much of each cell objects cover, ``inside`` (n,) bool where the region
    is. The overlap coefficient of Szymkiewicz and Simpson; 0 where either is empty.
    """
    least = min(float(covered.sum()), float(inside.sum()))
    return float(covered[inside].sum()) / least if least > 0 else 0.0
