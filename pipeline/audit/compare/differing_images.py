"""The images in which two runs differ most, with both maps, so that a report can show them."""

import numpy as np
import pyarrow as pa

from pipeline.audit.compare.grids import common_grid
from pipeline.audit.compare.shared_images import Pairs, flows_on
from pipeline.audit.text.names import short_names
from pipeline.images import crop_alike
from pipeline.store import Run

MOST = 12
"""Images that are kept."""

IMAGES_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("other_answer", pa.string(), nullable=False),
        pa.field("right", pa.bool_()),
        pa.field("other_right", pa.bool_()),
        pa.field("jsd", pa.float64()),
        pa.field("alike", pa.bool_(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("flow", pa.list_(pa.float32()), nullable=False),
        pa.field("other_flow", pa.list_(pa.float32()), nullable=False),
    ]
)
"""``row`` is that of the first run; ``answer`` and ``other_answer`` are the short names of the
predicted classes. ``jsd`` is the Jensen–Shannon divergence of the accumulated flows in bits, null
where the methods differ. ``flow`` and ``other_flow`` have sum 1 (or 0 without mass), row by row of
the grid ``height`` × ``width``; ``alike``: both runs cut the image in the same way, so that both
maps lie on the same crop."""


def differing_images(one: Run, other: Run, pairs: Pairs, *, same_method: bool = True) -> pa.Table:
    """Return ``IMAGES_SCHEMA``: at most ``MOST`` images that both runs hold.

    Those whose flows are furthest apart come first. Maps of two methods do not mean the same: then
    they are images with different answers, those that only the first run gets right first, then
    those that only the other does. None where images have several labels.
    """
    if pairs.multi_label:
        return pa.Table.from_pylist([], IMAGES_SCHEMA)
    chosen = _furthest(pairs) if same_method else _answered_differently(pairs)
    grid = common_grid(one.spec.grid, other.spec.grid)
    alike = crop_alike(one.spec.input, other.spec.input)
    rows = []
    for i in chosen.tolist():
        own, others = (
            flows_on(grid, run, numbers[i : i + 1])[0].astype(np.float32)
            for run, numbers in ((one, pairs.rows), (other, pairs.other_rows))
        )
        right, other_right = (None if value < 0 else bool(value) for value in pairs.right[:, i])
        rows.append(
            {
                "row": int(pairs.rows[i]),
                "answer": _name(one, int(pairs.predicted[0, i])),
                "other_answer": _name(other, int(pairs.predicted[1, i])),
                "right": right,
                "other_right": other_right,
                "jsd": float(pairs.jsd[i]) if same_method else None,
                "alike": alike,
                "height": grid[0],
                "width": grid[1],
                "flow": own,
                "other_flow": others,
            }
        )
    return pa.Table.from_pylist(rows, IMAGES_SCHEMA)


def _furthest(pairs: Pairs) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    jsd = np.nan_to_num(pairs.jsd, nan=0.0)
    order = np.argsort(-jsd, kind="stable")[:MOST]
    return np.asarray(order[jsd[order] > _SAME], np.int64)


def _answered_differently(pairs: Pairs) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    differ = np.flatnonzero(pairs.predicted[0] != pairs.predicted[1])
    lost = pairs.right[0, differ] - pairs.right[1, differ]
    # Lost (1) first, then won (-1), then both wrong.
    order = np.argsort(np.where(lost == 0, 2, np.where(lost > 0, 0, 1)), kind="stable")
    return np.asarray(differ[order][:MOST], np.int64)


def _name(run: Run, number: int) -> str:
    names = short_names(run.spec.classes)
    return names[number] if 0 <= number < len(names) else f"class {number}"


_SAME = 1e-6
"""Bits below which two flows are the same up to rounding."""
