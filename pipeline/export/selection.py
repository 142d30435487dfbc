"""Which images leave a run for another tool: evenly many of every class."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.atlas import TABLES
from pipeline.audit.explained_class import explained_table
from pipeline.store import Run, Status

_HEAD = ["row", "label", "pred", "confidence", "margin", "correct"]


def select_images(run: Run, most: int) -> pa.Table:
    """Return the summary of at most ``most`` images of every class, in order of rows.

    Classes are the labels, or the predictions where no image is labelled (of several labels per
    image what the run explains); within a class the
    images lie evenly over its rows. Quarantined images are left out. The result has the columns
    row, label, pred, confidence, margin, correct, class and uri.
    """
    table = run.summary().to_table(columns=_HEAD, filter=pc.field("status") == int(Status.OK))
    table = table.sort_by("row")
    by = "label" if table["label"].null_count < len(table) else "pred"
    if run.spec.multi_label:
        by = TABLES[explained_table(run)]
    table = table.filter(pc.is_valid(table[by]))
    classes = table[by].to_numpy()
    chosen = [_evenly(np.flatnonzero(classes == number), most) for number in np.unique(classes)]
    table = table.take(np.sort(np.concatenate(chosen)) if chosen else [])
    uris = run.index_take(table["row"].to_pylist())["uri"]
    return table.append_column("class", table[by]).append_column("uri", uris)


def _evenly(places: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    wanted = np.linspace(0, len(places) - 1, min(most, len(places))).astype(np.intp)
    return places[np.unique(wanted)]
