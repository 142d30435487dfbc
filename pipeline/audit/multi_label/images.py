"""The images of a run with several labels, each once, with all of its labels and logits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pipeline.measures.threshold import least_logit
from pipeline.store import Run, Status, Unit

Integer = NDArray[np.int64]


@dataclass(frozen=True)
class LabelledImages:
    """Some usable images: their first rows (n,), labels (n, K) of 0 and 1, logits (n, k).

    ``known`` (n,) is False of unlabelled images, whose labels are 0 but not known to be.
    """

    rows: Integer
    labels: csr_array
    logits: NDArray[np.float32]
    known: NDArray[np.bool_]


def labelled_images(run: Run, outputs: slice | Integer = slice(None)) -> Iterator[LabelledImages]:
    """Yield the usable images of a run unit by unit, with the logits of some outputs."""
    last = -1
    for unit in run.units:
        found, last = _of_unit(run, unit, outputs, last)
        if len(found.rows):
            yield found


def least(run: Run) -> float:
    """Return the logit from which the run takes an output as predicted."""
    return least_logit(run.config.model.threshold)


def first_rows(table: pa.Table) -> pa.Table:
    """Return the first row of every image of a table that is sorted by row and has ``image``."""
    images = table["image"].to_numpy()
    return table.filter(pa.array(np.diff(images, prepend=-1) != 0))


def images_with(run: Run, class_id: int) -> Integer:
    """Return the numbers of the images that have a label, may have it, or are predicted to have it.

    Unlabelled images may have any.
    """
    found = [np.empty(0, np.int64)]
    for unit in run.units:
        index = run.index_rows(unit.lo, unit.hi)
        predicted = np.asarray(run.logits[unit.lo : unit.hi, class_id]) >= least(run)
        own = _members(index["labels"], len(run.spec.classes))[:, [class_id]].toarray()[:, 0] > 0
        unknown = index["labels"].is_null().to_numpy()
        found.append(index["image"].to_numpy()[predicted | own | unknown])
    return np.unique(np.concatenate(found))


def _of_unit(
    run: Run, unit: Unit, outputs: slice | Integer, last: int
) -> tuple[LabelledImages, int]:
    """Return the images of a unit that are new after image ``last``, and the last image."""
    index = run.index_rows(unit.lo, unit.hi)
    status = run.summary_part(unit.id, ["status"])["status"].to_numpy()
    images = index["image"].to_numpy()
    new = (np.diff(images, prepend=last) != 0) & (status == Status.OK)
    logits = np.asarray(run.logits[unit.lo : unit.hi], np.float32)[new][:, outputs]
    own = index.filter(pa.array(new))
    known = ~own["labels"].is_null().to_numpy()
    labels = _members(own["labels"], len(run.spec.classes))
    return LabelledImages(own["row"].to_numpy(), labels, logits, known), int(images[-1])


def _members(column: pa.ChunkedArray, classes: int) -> csr_array:
    """Return a column of lists as a matrix of 0 and 1, (rows, classes)."""
    lengths = pc.list_value_length(column).fill_null(0).to_numpy()
    members = pc.list_flatten(column).to_numpy().astype(np.int64)
    ends = np.append(0, np.cumsum(lengths))
    ones = np.ones(len(members), np.int64)
    return csr_array((ones, members, ends), shape=(len(lengths), classes))
