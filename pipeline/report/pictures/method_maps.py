"""The maps of several methods of the same images, to lie over the images' photos."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.report.pictures.film_strips import bright
from pipeline.report.pictures.palettes import TRANSPARENT
from pipeline.report.pictures.sprites import Sprite, levels, sprite


@dataclass(frozen=True)
class MethodMaps:
    """Images by row with their disagreement; every one has a tile in ``film`` for every name.

    Each tile has a scale of its own: maps of different methods have different units.
    """

    rows: dict[int, float]
    names: tuple[str, ...]
    film: Sprite

    def tile(self, image: int, name: int) -> int:
        """Return the number of a tile, by the places of an image and a name."""
        return image * len(self.names) + name


def draw_method_maps(table: pa.Table, grid: tuple[int, int]) -> MethodMaps | None:
    """Draw the images that an evaluation left, the worst first; None where it left none.

    A map that an image does not have is blank; maps that are the same everywhere are left out.
    """
    rows: dict[int, float] = {}
    maps: dict[tuple[int, str], np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = {}
    for item in table.to_pylist():
        rows[item["row"]] = item["disagreement"]
        cells = np.array(item["cells"], np.float64)
        if cells.size and np.ptp(cells) > 0:
            maps[item["row"], item["map"]] = cells.reshape(grid)
    names = tuple(dict.fromkeys(name for _, name in maps))
    if not names:
        return None
    blank = np.zeros(grid)
    drawn = [
        levels(own, bright(own))
        for row in rows
        for name in names
        for own in (maps.get((row, name), blank),)
    ]
    return MethodMaps(rows, names, sprite(np.stack(drawn), len(names), TRANSPARENT))
