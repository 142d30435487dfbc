"""Both flows of images in which two runs differ, to lie over the images' photos."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.report.pictures.film_strips import bright
from pipeline.report.pictures.palettes import TRANSPARENT
from pipeline.report.pictures.sprites import Sprite, levels, sprite


@dataclass(frozen=True)
class ImagePairs:
    """Images of a comparison, as its table of images has them; two tiles each in ``film``.

    Both tiles of an image share a scale, whose end is in ``tops``, as multiples of a uniform map.
    """

    rows: tuple[dict[str, Any], ...]
    film: Sprite
    tops: tuple[float, ...]


def draw_image_pairs(table: pa.Table) -> ImagePairs | None:
    """Draw the images that a comparison left; None where it left none."""
    rows = table.to_pylist()
    if not rows:
        return None
    grid = rows[0]["height"], rows[0]["width"]
    pairs = np.array([[row.pop("flow"), row.pop("other_flow")] for row in rows])
    tops = [bright(pair) for pair in pairs]
    drawn = [levels(pair, top) for pair, top in zip(pairs, tops, strict=True)]
    return ImagePairs(
        rows=tuple(rows),
        film=sprite(np.concatenate(drawn).reshape(-1, *grid), 2, TRANSPARENT),
        tops=tuple(top * grid[0] * grid[1] for top in tops),
    )
