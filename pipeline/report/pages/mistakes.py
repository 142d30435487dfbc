"""The images of each class that the model got wrong, the most confident mistakes first.

Of images with several labels, a label that is missed is the more confident a mistake the lower its
score, one that is predicted without being there the higher.
"""

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.store import Run

ScoredRows = tuple[tuple[int, float], ...]
"""(row, score): a confidence or a distance."""


def read_mistakes(run: Run, most: int, group: str = "label") -> dict[int, ScoredRows]:
    """Return at most ``most`` wrong images per label, by class; ties go by row.

    ``group`` is the column with the class: ``label``, or ``pred`` for predictions without a label.
    Reads the summary batch by batch and keeps no more than the result and one batch.
    """
    rows = np.empty(0, np.int64)
    labels = np.empty(0, np.int64)
    confidence = np.empty(0, np.float64)
    named = ["row", group, "confidence"]
    wanted = ~pc.field("correct") & pc.field(group).is_valid()
    sign = -1.0 if run.spec.multi_label and group == "label" else 1.0
    for batch in run.summary().to_batches(columns=named, filter=wanted):
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in named]
        rows = np.concatenate([rows, columns[0].astype(np.int64)])
        labels = np.concatenate([labels, columns[1].astype(np.int64)])
        sure = np.nan_to_num(columns[2].astype(np.float64)) * sign
        confidence = np.concatenate([confidence, sure])
        kept = _foremost(labels, confidence, rows, most)
        rows, labels, confidence = rows[kept], labels[kept], confidence[kept]
    found: dict[int, list[tuple[int, float]]] = {}
    for row, label, value in zip(rows.tolist(), labels.tolist(), confidence.tolist(), strict=True):
        found.setdefault(label, []).append((row, value * sign))
    return {label: tuple(ranked) for label, ranked in found.items()}


def _foremost(
    labels: NDArray[np.int64], confidence: NDArray[np.float64], rows: NDArray[np.int64], most: int
) -> NDArray[np.intp]:
    """Return the places of the first ``most`` of every label, in order."""
    order = np.lexsort((rows, -confidence, labels))
    ordered = labels[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    return order[np.arange(len(order)) - starts < most]
