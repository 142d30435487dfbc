"""Pictures of rows: the crop that the model saw, and its accumulated flow layer by layer."""

import os
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.images import Crop
from pipeline.progress import Progress
from pipeline.report.pictures.frames import VIEWS, draw_frames
from pipeline.report.pictures.palettes import TRANSPARENT
from pipeline.report.pictures.sprites import Sprite, webp
from pipeline.store import Run
from pipeline.store.crops import CropReader

PHOTO_SIDE = 448
"""Longest side of a shown crop, in pixels: the model's own input is often no larger."""
HEAT_CELLS = 56
"""Most cells along a side of an overlay: finer maps are drawn coarser."""
GUTTER = 1
"""Cells repeated around a frame, so that its enlargement never shows the next one."""

_TOGETHER = 512  # rows whose maps are read at once: the inner chunk of the stored maps
_BOXES = 7  # along a side, as the atlas pools flows
_TALLEST = 16_383  # pixels, WebP's limit


@dataclass(frozen=True)
class Picture:
    """Where the report keeps the pictures of a row; paths are relative to the report's folder."""

    row: int
    photo: str | None
    heat: str | None
    """All layers below each other, a column per flow and view; None for a quarantined row."""
    problem: str | None
    """Why there is no photo."""
    columns: int = len(VIEWS)
    """Columns of ``heat``: twice as many where the flow of the label is drawn, too."""
    lifts: tuple[tuple[tuple[float, ...], ...], ...] = ()
    """By column and layer: what the darkest, middle and brightest colour stand for."""
    flow: tuple[float, ...] = ()
    """Its accumulated flow in at most 7 × 7 boxes, normalised; empty without mass."""


def draw_pictures(
    run: Run,
    rows: Iterable[int],
    wrong: Collection[int] = (),
    progress: Progress | None = None,
) -> dict[int, Picture]:
    """Write the pictures of ``rows`` into the report; return them.

    Of those that are ``wrong`` the flow of the label is drawn beside that of the answer, where the
    run has both.

    Images that cannot be read any more get a reason instead of a photo. The bytes do not depend
    on the number of threads.
    """
    wanted = sorted(set(rows))
    if not wanted:
        return {}
    crops = CropReader(run, wanted)

    def draw(row: int, flows: NDArray[np.float32]) -> Picture:
        crop = crops.show(row)
        photo = _keep(run, f"assets/rows/{row}.webp", _photo(crop, PHOTO_SIDE))
        overlay = draw_overlay(flows)
        if overlay is None:
            return Picture(row, photo, None, crop.reason)
        return Picture(
            row=row,
            photo=photo,
            heat=_keep(run, f"assets/rows/{row}-flow.webp", overlay.content),
            problem=crop.reason,
            columns=len(overlay.lifts),
            lifts=tuple(tuple(map(tuple, column)) for column in overlay.lifts.tolist()),
            flow=_pooled(flows[0]),
        )

    pictures: dict[int, Picture] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for group in _groups(wanted):
            drawn = pool.map(draw, group, _flows(run, group, wrong))
            for picture in drawn:
                pictures[picture.row] = picture
                if progress:
                    progress.add()
    return pictures


def heat_grid(grid: tuple[int, int], layers: int) -> tuple[int, int]:
    """Return how many cells (h, w) a frame of an overlay has, its gutter aside."""
    return _within(grid, min(HEAT_CELLS, _TALLEST // layers - 2 * GUTTER))


def heat_film(grid: tuple[int, int], layers: int, columns: int) -> Sprite:
    """Return how the frames of an overlay are shown by themselves, as the tiles of a strip.

    The file is the overlay's own, so the content is empty.
    """
    return Sprite(b"", layers, columns, heat_grid(grid, layers))


@dataclass(frozen=True)
class Overlay:
    """A transparent WebP, and what its colours stand for (see ``Frames.lifts``)."""

    content: bytes
    lifts: NDArray[np.float64]


def draw_overlay(flows: NDArray[np.float32]) -> Overlay | None:
    """Return flows as a transparent WebP: a row per layer, a column per flow and view.

    Frames stay on the model's grid, a gutter around each: the browser enlarges them, smoothly,
    which is what :func:`pipeline.flows.render` would do, at a twentieth of the bytes.

    Parameters
    ----------
    flows : float32 (n, L, h, w)
        Raw maps of one image: of its answer, and of its label if there are two.

    Returns
    -------
    Overlay or None
        None if the first flow holds no mass: there is nothing to show.
    """
    if not flows[0].any():
        return None
    _, layers, height, width = flows.shape
    frames = draw_frames(flows, heat_grid((height, width), layers))
    around = ((0, 0), (0, 0), (GUTTER, GUTTER), (GUTTER, GUTTER))
    padded = np.pad(frames.levels, around, mode="edge")
    columns, _, high, wide = padded.shape
    values = padded.transpose(1, 2, 0, 3).reshape(layers * high, columns * wide)
    content = webp(Image.fromarray(TRANSPARENT[values], "RGBA"), lossless=True)
    return Overlay(content, frames.lifts)


def _flows(run: Run, group: list[int], wrong: Collection[int]) -> list[NDArray[np.float32]]:
    """Return the flows (n, L, h, w) of some rows that are stored together."""
    maps = run.read_maps(group[0], group[-1] + 1)[:, None]
    found = [maps[row - group[0]] for row in group]
    if not run.spec.label_maps or not any(row in wrong for row in group):
        return found
    labels = run.read_maps(group[0], group[-1] + 1, "label")[:, None]
    return [
        np.concatenate([own, labels[row - group[0]]])
        if row in wrong and labels[row - group[0]].any()
        else own
        for row, own in zip(group, found, strict=True)
    ]


def _pooled(maps: NDArray[np.float32]) -> tuple[float, ...]:
    flow = maps.sum(axis=0, dtype=np.float64)
    parts = [np.array_split(np.arange(side), min(side, _BOXES)) for side in flow.shape]
    boxes = [flow[np.ix_(rows, columns)].sum() for rows in parts[0] for columns in parts[1]]
    return tuple((np.asarray(boxes) / flow.sum()).tolist())


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
