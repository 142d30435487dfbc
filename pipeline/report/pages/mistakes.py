"""The images of each class that the model got wrong, the most confident mistakes first."""

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.store import Run

ScoredRows = tuple[tuple[int, float], ...]
"""(row, score): a confidence or a distance."""

_COLUMNS = ["row", "label", "confidence"]


def read_mistakes(run: Run, most: int) -> dict[int, ScoredRows]:
    """Return at most ``most`` wrong images per label, by class; ties go by row.

    Reads the summary batch by batch and keeps no more than the result and one batch.
    """
    rows = np.empty(0, np.int64)
    labels = np.empty(0, np.int64)
    confidence = np.empty(0, np.float64)
    for batch in run.summary().to_batches(columns=_COLUMNS, filter=~pc.field("correct")):
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in _COLUMNS]
        rows = np.concatenate([rows, columns[0].astype(np.int64)])
        labels = np.concatenate([labels, columns[1].astype(np.int64)])
        confidence = np.concatenate([confidence, np.nan_to_num(columns[2].astype(np.float64))])
        kept = _foremost(labels, confidence, rows, most)
        rows, labels, confidence = rows[kept], labels[kept], confidence[kept]
    found: dict[int, list[tuple[int, float]]] = {}
    for row, label, value in zip(rows.tolist(), labels.tolist(), confidence.tolist(), strict=True):
        found.setdefault(label, []).append((row, value))
    return {label: tuple(ranked) for label, ranked in found.items()}


def _foremost(
    labels: NDArray[np.int64], confidence: NDArray[np.float64], rows: NDArray[np.int64], most: int
) -> NDArray[np.intp]:
    """Return the places of the first ``most`` of every label, in order."""
    order = np.lexsort((rows, -confidence, labels))
    ordered = labels[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    return order[np.arange(len(order)) - starts < most]
