"""Evidence: the images of a class that show a shortcut most."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.atlas import CONFIDENT, CONFIDENT_MASS, TABLES
from pipeline.audit.finding import SHOWN
from pipeline.audit.shortcuts.detection import Signal
from pipeline.store import Run, Status

Evidence = tuple[tuple[int, float], ...]
"""Rows with the value that puts them there, the most extreme first."""


def extreme_images(run: Run, table: str, signals: Sequence[Signal]) -> tuple[Evidence, ...]:
    """Return for every signal the images of its class with the most extreme values, in order.

    The value is that of the signal's column; ties go to the lower row.
    """
    if not signals:
        return ()
    group = TABLES[table]
    columns = {_summary_column(signal.statistic.column) for signal in signals}
    classes = pa.array({signal.class_id for signal in signals}, pa.int32())
    images = run.summary().to_table(
        columns=["row", group, "confidence", *sorted(columns)],
        filter=pc.field(group).isin(classes) & (pc.field("status") == int(Status.OK)),
    )
    return tuple(_of_signal(images, group, signal) for signal in signals)


def _of_signal(images: pa.Table, group: str, signal: Signal) -> Evidence:
    statistic = signal.statistic
    chosen = pc.field(group) == signal.class_id
    if statistic.column == CONFIDENT_MASS:
        chosen &= pc.field("confidence") >= CONFIDENT
    own = images.filter(chosen)
    rows = own["row"].to_numpy()
    values = np.asarray(own[_summary_column(statistic.column)].to_numpy(), dtype=np.float32)
    order = np.lexsort((rows, -values if statistic.upwards else values))
    order = order[~np.isnan(values[order])][:SHOWN]
    return tuple(zip(rows[order].tolist(), values[order].tolist(), strict=True))


def _summary_column(column: str) -> str:
    return "mass_flow" if column == CONFIDENT_MASS else column
