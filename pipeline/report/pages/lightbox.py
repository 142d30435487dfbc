"""What the light-box shows of a row, as its script reads it from the page."""

import math
from collections.abc import Collection, Sequence

from pipeline.report.pages.measures import Measurement
from pipeline.report.pages.rows import Row
from pipeline.report.pictures.captions import Caption
from pipeline.report.pictures.overlays import Picture

MEASURES = 8
"""Measures of a row that are listed: those of findings, those outside their class, the rest."""


def row_details(
    row: Row,
    picture: Picture,
    caption: Caption,
    neighbours: Sequence[int],
    classes: Collection[int],
) -> dict[str, object]:
    """Return a row as JSON can hold it; paths are relative to the report's folder.

    ``classes`` are those that have a page.
    """
    ranked = sorted(row.measures, key=lambda item: (not item.named_by, not item.side))
    return {
        "row": row.number,
        "photo": picture.photo,
        "heat": picture.heat,
        "columns": picture.columns,
        "lifts": [
            [[_short(value) for value in frame] for frame in column] for column in picture.lifts
        ],
        "label": caption.label,
        "answer": caption.predicted,
        "confidence": _short(caption.confidence),
        "correct": caption.correct,
        **({"mistake": caption.mistake} if caption.multi_label else {}),
        "uri": caption.uri,
        "class": row.class_id if row.class_id in classes else None,
        "problem": picture.problem,
        "findings": [item.finding.number for item in row.evidence],
        "measures": [_measure(item) for item in ranked[:MEASURES]],
        "near": list(neighbours),
    }


def _measure(item: Measurement) -> list[object]:
    numbers = (item.value, item.low, item.middle, item.high)
    return [item.column, item.meaning, *map(_short, numbers), item.side]


def _short(value: float | None) -> float | None:
    """Round to four digits; nothing where it is undefined."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
