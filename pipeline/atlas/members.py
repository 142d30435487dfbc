"""Which class each image of a unit counts for, in each table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import DatasetError
from pipeline.store.layout import Status

TABLES: Mapping[str, str] = {"label": "label", "predicted": "pred"}
"""Table of class statistics → the summary's column that says whose an image is."""

CONFIDENT = 0.8
"""Confidence from which low mass is suspicious: the model is sure, yet saw little."""

CONFIDENT_MASS = "mass_confident"
"""Column made here: the accumulated mass of the images the model is confident about."""


@dataclass(frozen=True)
class Members:
    """Images of a unit by class.

    Attributes
    ----------
    rows : (n,) int64
    ok : (n,) bool
        False where the image was quarantined.
    classes : table → (n,) int64
        Class of each image, -1 where it has none (no label, or quarantined before a prediction).
    correct : (n,) int64
        1 right, 0 wrong, -1 unknown because there is no label.
    """

    rows: NDArray[np.int64]
    ok: NDArray[np.bool_]
    classes: Mapping[str, NDArray[np.int64]]
    correct: NDArray[np.int64]


def members_of(part: pa.Table, tables: Sequence[str], classes: int) -> Members:
    """Read the members from a unit's summary.

    Raises
    ------
    DatasetError
        A label is not one of the model's ``classes`` outputs.
    """
    groups = {table: _integers(part, TABLES[table]) for table in tables}
    for table, group in groups.items():
        if len(group) and (group.max() >= classes or group.min() < -1):
            raise DatasetError(
                f"column {TABLES[table]} of the summary holds class {int(group.max())}, but the "
                f"model has {classes} classes; map the labels with dataset.labels"
            )
    return Members(
        rows=part["row"].to_numpy(),
        ok=part["status"].to_numpy() == Status.OK,
        classes=groups,
        correct=_integers(part, "correct"),
    )


def _integers(part: pa.Table, name: str) -> NDArray[np.int64]:
    """Return a column as int64, -1 where it is null."""
    column = part[name].cast(pa.int8()) if name == "correct" else part[name]
    values: NDArray[np.int64] = column.cast(pa.int64()).fill_null(-1).to_numpy()
    return values
