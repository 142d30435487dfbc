"""Pictures of rows: the crop that the model saw, and its accumulated flow layer by layer."""

import os
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.flows import render
from pipeline.images import Crop
from pipeline.report.pictures.palettes import INFERNO
from pipeline.report.pictures.sprites import Sprite, webp
from pipeline.store import Run
from pipeline.store.crops import CropReader

PHOTO_SIDE = 160
"""Longest side of a shown crop, in pixels."""
LARGE_SIDE = 448
"""The same of the crop on a row's own page."""
HEAT_CELLS = 56
"""Most cells along a side of an overlay: finer maps are drawn coarser."""
GUTTER = 1
"""Cells repeated around a frame, so that its enlargement never shows the next one."""

_TOGETHER = 512  # rows whose maps are read at once: the inner chunk of the stored maps
_TALLEST = 16_383  # pixels, WebP's limit
_ALPHA = (np.linspace(0, 1, 256) ** 0.75 * 255).astype(np.uint8)
_COLOURS = np.concatenate([INFERNO, _ALPHA[:, None]], axis=1)


@dataclass(frozen=True)
class Picture:
    """Where the report keeps the pictures of a row; paths are relative to the report's folder."""

    row: int
    photo: str | None
    heat: str | None
    """All layers below each other, each as high as the photo; None for a quarantined row."""
    problem: str | None
    """Why there is no photo."""
    large: str | None = None
    """The photo of a row with a page of its own, finer where the model saw it finer."""


def draw_pictures(run: Run, rows: Iterable[int], large: Container[int] = ()) -> dict[int, Picture]:
    """Write the pictures of ``rows`` into the report, some of them ``large`` too; return them.

    Images that cannot be read any more get a reason instead of a photo. The bytes do not depend
    on the number of threads.
    """
    wanted = sorted(set(rows))
    if not wanted:
        return {}
    crops = CropReader(run, wanted)

    def draw(row: int, maps: NDArray[np.float32]) -> Picture:
        crop = crops.show(row)
        photo = _keep(run, f"assets/rows/{row}.webp", _photo(crop, PHOTO_SIDE))
        finer = row in large and crop.pixels is not None and max(crop.pixels.shape) > PHOTO_SIDE
        return Picture(
            row=row,
            photo=photo,
            heat=_keep(run, f"assets/rows/{row}-flow.webp", heat_sprite(maps)),
            problem=crop.reason,
            large=_keep(run, f"assets/rows/{row}-large.webp", _photo(crop, LARGE_SIDE))
            if finer
            else photo,
        )

    pictures: dict[int, Picture] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for group in _groups(wanted):
            maps = run.read_maps(group[0], group[-1] + 1)
            inside = [maps[row - group[0]] for row in group]
            drawn = pool.map(draw, group, inside)
            pictures |= {picture.row: picture for picture in drawn}
    return pictures


def heat_grid(grid: tuple[int, int], layers: int) -> tuple[int, int]:
    """Return how many cells (h, w) a frame of an overlay has, its gutter aside."""
    return _within(grid, min(HEAT_CELLS, _TALLEST // layers - 2 * GUTTER))


def heat_film(grid: tuple[int, int], layers: int) -> Sprite:
    """Return how the frames of an overlay are shown by themselves, as the tiles of a strip.

    The file is the overlay's own, so the content is empty.
    """
    return Sprite(b"", layers, 1, heat_grid(grid, layers))


def heat_sprite(maps: NDArray[np.float32]) -> bytes | None:
    """Return the accumulated flow as a transparent WebP, one frame per layer below each other.

    Frames stay on the model's grid, a gutter around each: the browser enlarges them, smoothly,
    which is what :func:`pipeline.flows.render` would do, at a twentieth of the bytes.

    Parameters
    ----------
    maps : float32 (L, h, w)
        Raw maps of one image.

    Returns
    -------
    bytes or None
        None if the maps hold no mass: there is nothing to show.
    """
    if not maps.any():
        return None
    size = heat_grid((maps.shape[1], maps.shape[2]), len(maps))
    frames = render(torch.from_numpy(maps)[None], size=size, mode="sigmoid")[0].numpy()
    around = ((0, 0), (GUTTER, GUTTER), (GUTTER, GUTTER))
    values = np.pad(frames, around, mode="edge").reshape(-1, size[1] + 2 * GUTTER)
    return webp(Image.fromarray(_COLOURS[values], "RGBA"), lossless=True)


def _photo(crop: Crop, side: int) -> bytes | None:
    if crop.pixels is None:
        return None
    image = Image.fromarray(np.ascontiguousarray(crop.pixels.transpose(1, 2, 0)))
    height, width = _within((image.height, image.width), side)
    return webp(image.resize((width, height), Image.Resampling.LANCZOS))


def _keep(run: Run, path: str, content: bytes | None) -> str | None:
    if content is None:
        return None
    run.write(f"report/{path}", content)
    return path


def _groups(rows: list[int]) -> list[list[int]]:
    """Group sorted rows by the stored chunk that holds their maps."""
    groups: dict[int, list[int]] = {}
    for row in rows:
        groups.setdefault(row // _TOGETHER, []).append(row)
    return list(groups.values())


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Shrink (height, width) to at most ``side``, keeping proportions; never enlarge."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
