"""What drives the channels that differ most: the images, and the classes, of both runs."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline.audit.compare.matching import matched_classes
from pipeline.images import Crop
from pipeline.store import Run, Status
from pipeline.store.crops import CropReader

IMAGES_SCHEMA = pa.schema(
    [
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("channel", pa.int32(), nullable=False),
        pa.field("other", pa.bool_(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("peak", pa.float64(), nullable=False),
        pa.field("picture", pa.binary()),
    ]
)
"""The images of one run, or of the other, that excite a channel most: their largest activation, and
a small WebP of what the model saw, as the other run may be out of reach when this is shown. The
picture is null where an image cannot be read now."""

CLASSES_SCHEMA = pa.schema(
    [
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("channel", pa.int32(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("other_images", pa.int64(), nullable=False),
        pa.field("peak", pa.float64(), nullable=False),
        pa.field("other_peak", pa.float64(), nullable=False),
    ]
)
"""Of a channel and a class (by label) that both runs have: how many images, and the mean of their
largest activations. The class that differs most comes first."""

SHOWN = 8
"""Channels that are named and whose images are listed."""
EACH = 4
"""Images of either run for each of them."""
SIDE = 96
"""Longest side of a picture, in pixels."""

LEAST = 3
"""Images that a class needs in both runs."""

Chosen = Sequence[tuple[int, int]]
Float = NDArray[np.float64]


@dataclass(frozen=True)
class _Peaks:
    """Of every chosen channel the best images, and sums by class: ``total`` (channels, classes)."""

    best: list[list[tuple[int, float]]]
    total: Float
    count: NDArray[np.int64]


def exciting_images(one: Run, other: Run, table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return ``IMAGES_SCHEMA`` and ``CLASSES_SCHEMA`` of the first channels of a table."""
    first = table.slice(0, SHOWN)
    chosen = list(zip(first["layer"].to_pylist(), first["channel"].to_pylist(), strict=True))
    found = [_peaks(run, chosen) for run in (one, other)]
    rows = [
        row
        for run, peaks, is_other in zip((one, other), found, (False, True), strict=True)
        for row in _images(run, peaks, chosen, is_other=is_other)
    ]
    classes = _classes(one, other, found[0], found[1], chosen)
    return (
        pa.Table.from_pylist(rows, IMAGES_SCHEMA),
        pa.Table.from_pylist(classes, CLASSES_SCHEMA),
    )


def _images(run: Run, peaks: _Peaks, chosen: Chosen, *, is_other: bool) -> list[dict[str, Any]]:
    wanted = sorted({row for best in peaks.best for row, _ in best})
    uris = dict(zip(wanted, run.index_take(wanted)["uri"].to_pylist(), strict=True))
    reader = CropReader(run, wanted)
    pictures = {row: _picture(reader.show(row)) for row in wanted}
    return [
        {
            "layer": layer,
            "channel": channel,
            "other": is_other,
            "rank": rank,
            "row": row,
            "uri": uris[row],
            "peak": peak,
            "picture": pictures[row],
        }
        for (layer, channel), best in zip(chosen, peaks.best, strict=True)
        for rank, (row, peak) in enumerate(best)
    ]


def _classes(
    one: Run, other: Run, peaks: _Peaks, others: _Peaks, chosen: Chosen
) -> list[dict[str, Any]]:
    here, there = matched_classes(one.spec.classes, other.spec.classes)
    rows = []
    for place, (layer, channel) in enumerate(chosen):
        own = []
        for i, j in zip(here.tolist(), there.tolist(), strict=True):
            n, m = int(peaks.count[i]), int(others.count[j])
            if min(n, m) >= LEAST:
                own.append(
                    {
                        "layer": layer,
                        "channel": channel,
                        "class": one.spec.classes[i],
                        "images": n,
                        "other_images": m,
                        "peak": float(peaks.total[place, i]) / n,
                        "other_peak": float(others.total[place, j]) / m,
                    }
                )
        own.sort(key=lambda row: -abs(row["peak"] - row["other_peak"]))
        rows += own
    return rows


def _peaks(run: Run, chosen: Chosen) -> _Peaks:
    """Read the peaks of all units once; of equal ones the lower row comes first."""
    best: list[list[tuple[int, float]]] = [[] for _ in chosen]
    classes = len(run.spec.classes)
    total, count = np.zeros((len(chosen), classes)), np.zeros(classes, np.int64)
    for unit in run.units:
        fine = np.asarray(run.status[unit.lo : unit.hi]) == Status.OK
        peaks = np.asarray(run.channel_peaks[unit.lo : unit.hi])[fine]
        rows = np.arange(unit.lo, unit.hi)[fine]
        labels = _labels(run, unit.id)[fine]
        known = (labels >= 0) & (labels < classes)
        count += np.bincount(labels[known], minlength=classes)
        for place, (layer, channel) in enumerate(chosen):
            own = peaks[:, layer, channel].astype(np.float64)
            total[place] += np.bincount(labels[known], own[known], minlength=classes)
            order = np.argsort(-own, kind="stable")[:EACH]
            both = best[place] + list(zip(rows[order].tolist(), own[order].tolist(), strict=True))
            best[place] = sorted(both, key=lambda item: (-item[1], item[0]))[:EACH]
    return _Peaks(best, total, count)


def _labels(run: Run, unit: int) -> NDArray[np.int64]:
    """Return the labels of a unit's rows, -1 for none."""
    labels = run.summary_part(unit, ["label"])["label"].to_pylist()
    return np.array([-1 if label is None else label for label in labels], np.int64)


def _picture(crop: Crop) -> bytes | None:
    if crop.pixels is None:
        return None
    image = Image.fromarray(np.ascontiguousarray(crop.pixels.transpose(1, 2, 0)))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=72, method=4)
    return buffer.getvalue()
