"""Crops: a part of some images of a class beside the same part of its other images."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.audit.findings_table import SCREENING
from pipeline.audit.screening.parts import PARTS
from pipeline.audit.screening.spots import Spot, peaks
from pipeline.store import Run
from pipeline.store.crops import CropReader

SHOWN = 8
"""Crops side by side."""

_SIDE, _GAP, _GREY = 96, 4, 127


@dataclass(frozen=True)
class Crops:
    """Two rows of crops as a WebP picture of ``width`` × ``height`` pixels."""

    content: bytes
    width: int
    height: int


def draw_crops(run: Run, class_id: int | None, part: str | None) -> Crops | None:
    """Draw what carriers of a screened part have there, above what other images have.

    None where the run's screening has no such part. What cannot be read any more is grey.
    """
    if part not in PARTS or not run.exists(SCREENING):
        return None
    rows = run.table(SCREENING).to_pylist()
    found = [row for row in rows if (row["class"], row["part"]) == (class_id, part)]
    if not found:
        return None
    groups = [found[0]["carrier_rows"][:SHOWN], found[0]["other_rows"][:SHOWN]]
    reader = CropReader(run, [row for group in groups for row in group])
    size = (int(run.spec.input["size"][0]), int(run.spec.input["size"][1]))
    shown = [row for group in groups for row in group]
    # A table of an earlier version has no spots: there they were the peaks.
    given = found[0].get("carrier_spots") or []
    spots: dict[int, Spot] = {}
    if PARTS[part].moves and shown:
        pairs = zip(found[0]["carrier_rows"], given, strict=False)
        spots = peaks(run, shown) | {row: (top, left) for row, (top, left) in pairs}
    strips = [[_crop(reader, row, part, size, spots) for row in group] for group in groups]
    side = max(crop.width for strip in strips for crop in strip)
    width = max(len(strip) for strip in strips) * (side + _GAP) - _GAP
    height = 2 * _SIDE + 2 * _GAP
    sheet = Image.new("RGB", (width, height), "white")
    for line, strip in enumerate(strips):
        for place, crop in enumerate(strip):
            sheet.paste(crop, (place * (side + _GAP), line * (_SIDE + 2 * _GAP)))
    stream = io.BytesIO()
    sheet.save(stream, "WEBP", quality=85)
    return Crops(stream.getvalue(), width, height)


def _crop(
    reader: CropReader,
    row: int,
    part: str,
    size: tuple[int, int],
    spots: Mapping[int, Spot],
) -> Image.Image:
    """Return a part of an image, ``_SIDE`` pixels high; all of it where the part is no box."""
    pixels = reader.show(row).pixels
    if pixels is None:
        pixels = np.full((3, *size), _GREY, np.uint8)
    cut: NDArray[np.uint8] = pixels
    if PARTS[part].box is not None:
        where = PARTS[part].mask(size, spots.get(row, (0, 0)))
        rows, columns = (where.any(1).nonzero(), where.any(0).nonzero())
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        left, right = int(columns[0]), int(columns[-1]) + 1
        cut = pixels[:, top:bottom, left:right]
    image = Image.fromarray(np.ascontiguousarray(cut.transpose(1, 2, 0)))
    width = max(1, min(3 * _SIDE, round(image.width * _SIDE / image.height)))
    return image.resize((width, _SIDE), Image.Resampling.BICUBIC)
