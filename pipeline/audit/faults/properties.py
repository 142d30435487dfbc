"""Properties of images that have nothing to do with what they show, measured on a sample of a run.

How bright, how sharp, how large, how compressed: where such a property differs between classes, a
model can read the label from it. The sample is drawn at random, the same images every time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.atlas import TABLES, distinct_rows
from pipeline.measures import measure_pixels
from pipeline.store import Run, Status
from pipeline.store.crops import CropReader

Float = NDArray[np.float64]

EACH = 48
"""Most images of a class that are measured."""

MOST = 8192
"""Most images of a run that are measured."""

LOSSLESS = 101
"""Compression quality of a file that is no JPEG: above the best of those."""

_READERS = 8


@dataclass(frozen=True)
class Property:
    """What is measured: how sentences call it, and the operator of ``probe`` that changes it."""

    words: str
    operator: str | None


PROPERTIES = {
    "brightness": Property("brightness", "brightness"),
    "contrast": Property("contrast", None),
    "sharpness": Property("sharpness", "blur"),
    "saturation": Property("saturation", "grayscale"),
    "size": Property("size (the root of width × height, in pixels)", None),
    "aspect": Property("aspect ratio", None),
    "quality": Property("JPEG quality", "jpeg"),
    "border_brightness": Property("brightness of the border", "frame"),
    "border_variation": Property("variation along the border", "frame"),
}
"""Name → property. ``brightness``, ``contrast`` and ``sharpness`` are those of the summary;
``saturation`` is the mean of (max − min) ÷ max over RGB, ``size`` the root of width × height,
``aspect`` width ÷ height, ``quality`` that of the JPEG file (``LOSSLESS`` of others), ``border_…``
mean and deviation of the luma of the outermost two pixels, in [0, 1]."""


@dataclass(frozen=True)
class Measured:
    """Measured images: rows, classes, and the values (n,) of every property, NaN if unknown."""

    rows: NDArray[np.int64]
    classes: NDArray[np.int64]
    values: dict[str, Float]


def measure_properties(
    run: Run, table: str, each: int = EACH, on_image: Callable[[], None] = lambda: None
) -> Measured:
    """Measure up to ``each`` images of every class of ``table``; unreadable ones are left out.

    ``on_image`` is called after each of them.
    """
    rows, classes = _drawn(run, table, each)
    reader = CropReader(run, rows.tolist()) if len(rows) else None

    def measured(row: int) -> dict[str, float] | None:
        crop = reader.show(row) if reader else None
        if crop is None or crop.pixels is None:
            return None
        values = _of_pixels(torch.from_numpy(crop.pixels))
        quality = LOSSLESS if crop.quality is None else crop.quality
        return values | _of_size(crop.width, crop.height) | {"quality": float(quality)}

    with ThreadPoolExecutor(_READERS) as pool:
        found: list[dict[str, float] | None] = []
        for item in pool.map(measured, rows.tolist()):
            found.append(item)
            on_image()
    known = np.array([item is not None for item in found], bool)
    items = [item for item in found if item is not None]
    values = {name: np.array([item[name] for item in items], np.float64) for name in PROPERTIES}
    return Measured(rows[known], classes[known], values)


def _drawn(run: Run, table: str, each: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the sample, ascending, and their classes."""
    column = TABLES[table]
    fine = (pc.field("status") == int(Status.OK)) & pc.field(column).is_valid()
    images: pa.Table = run.summary().to_table(columns=["row", column], filter=fine)
    images = images.sort_by("row")
    distinct = distinct_rows(run)
    if distinct is not None:  # of near duplicates the first one
        images = images.filter(pa.array(distinct[images["row"].to_numpy()]))
    rows = np.asarray(images["row"].to_numpy(), np.int64)
    classes = np.asarray(images[column].cast(pa.int64()).to_numpy(), np.int64)
    order = np.random.default_rng(0).permutation(len(rows))
    # Every class gives its first image, then its second, and so on, until there are enough.
    rank = _rank_within(classes[order])
    chosen = np.lexsort((np.arange(len(order)), rank))
    chosen = order[chosen[rank[chosen] < each][:MOST]]
    chosen.sort()
    return rows[chosen], classes[chosen]


def _rank_within(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many of the same class come before each."""
    order = np.argsort(classes, kind="stable")
    ordered = classes[order]
    first = np.searchsorted(ordered, ordered)
    rank = np.empty(len(classes), np.int64)
    rank[order] = np.arange(len(classes)) - first
    return rank


def _of_pixels(pixels: Tensor) -> dict[str, float]:
    """Measure a model input (3, H, W) uint8."""
    values = {name: float(value) for name, value in measure_pixels(pixels[None]).items()}
    most, least = pixels.amax(0).float(), pixels.amin(0).float()
    values["saturation"] = float(((most - least) / most.clamp_min(1)).mean())
    luma = (pixels.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0) / 255
    inside = torch.zeros(luma.shape, dtype=torch.bool)
    inside[2:-2, 2:-2] = True
    border = luma[~inside]
    values["border_brightness"] = float(border.mean())
    values["border_variation"] = float(border.std(correction=0))
    return values


def _of_size(width: int | None, height: int | None) -> dict[str, float]:
    if not width or not height:
        return {"size": float("nan"), "aspect": float("nan")}
    return {"size": (width * height) ** 0.5, "aspect": width / height}
