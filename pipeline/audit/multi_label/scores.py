"""How well every label is predicted: precision, recall, average precision and AUROC per label.

Every output is judged on all images, those without its label included. Accuracy would be high for
any rare label, and says nothing.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.stats import rankdata

from pipeline.audit.multi_label.images import Integer, labelled_images, least
from pipeline.store import Run

LABELS = "audit/labels.parquet"
TOGETHER = "audit/labels_together.parquet"

LABELS_SCHEMA = pa.schema(
    [
        pa.field("class", pa.int32(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("labelled", pa.int64(), nullable=False),
        pa.field("predicted", pa.int64(), nullable=False),
        pa.field("both", pa.int64(), nullable=False),
        pa.field("precision", pa.float64()),
        pa.field("recall", pa.float64()),
        pa.field("average_precision", pa.float64()),
        pa.field("auroc", pa.float64()),
    ]
)
"""Of ``images`` images so many are ``labelled`` with the class, ``predicted`` as it, and ``both``.
Null is what is not defined: a precision without predictions, an AUROC without images of either
kind."""

TOGETHER_SCHEMA = pa.schema(
    [
        pa.field("label", pa.int32(), nullable=False),
        pa.field("label_name", pa.string(), nullable=False),
        pa.field("other", pa.int32(), nullable=False),
        pa.field("other_name", pa.string(), nullable=False),
        pa.field("images", pa.int64(), nullable=False),
        pa.field("labelled", pa.int64(), nullable=False),
        pa.field("predicted", pa.int64(), nullable=False),
    ]
)
"""Of the ``images`` with a label so many are ``labelled``, and ``predicted``, as the other too; a
line for every pair that occurs. It takes the place of a confusion matrix: one label does not
exclude another."""

_AT_ONCE = 1 << 25
"""Ranks in memory at a time."""

Float = NDArray[np.float64]


@dataclass(frozen=True)
class LabelScores:
    """Counts and scores of L labels that some images have, over ``images`` labelled images.

    ``separation`` (L, L): AUROC of the output in a column for the images with the label in a row
    against those without it; NaN where either are missing. ``labelled``, ``predicted`` (L, K):
    images with a label that are also labelled, and predicted, as each of the K classes.
    """

    classes: Integer
    images: int
    predictions: Integer
    labelled: csr_array
    predicted: csr_array
    average_precision: Float
    separation: Float

    @property
    def count(self) -> Integer:
        """Images with each label, (L,)."""
        own: Integer = self.labelled[np.arange(len(self.classes)), self.classes]
        return own

    @property
    def both(self) -> Integer:
        """Images with each label that are predicted as it, (L,)."""
        own: Integer = self.predicted[np.arange(len(self.classes)), self.classes]
        return own

    @property
    def auroc(self) -> Float:
        """AUROC of each label's own output, (L,)."""
        return np.diagonal(self.separation)


def score_labels(run: Run) -> LabelScores:
    """Compare labels and outputs of all usable, labelled images of a run.

    Two passes over the logits, and one more for every 2**25 scores that are ranked: in memory are
    the labels, one block of scores and the counts.
    """
    parts, predicted, shown = [], [], np.zeros(len(run.spec.classes), np.int64)
    for part in labelled_images(run):
        above = csr_array(part.logits[part.known] >= least(run), dtype=np.int64)
        parts.append(part.labels[part.known])
        predicted.append(parts[-1].T @ above)
        shown += above.sum(0)
    empty = csr_array((0, len(run.spec.classes)), dtype=np.int64)
    labels = csr_array(vstack([empty, *parts]))
    classes = np.flatnonzero(labels.sum(0))
    own = csr_array(labels[:, classes])
    separation = np.full((len(classes), len(classes)), np.nan)
    precision = np.full(len(classes), np.nan)
    step = max(1, _AT_ONCE // max(1, labels.shape[0]))
    for lo in range(0, len(classes), step):
        some = classes[lo : lo + step]
        blocks = [part.logits[part.known] for part in labelled_images(run, some)]
        scores = np.concatenate(blocks)
        separation[:, lo : lo + step] = aurocs(own, scores)
        for place, column in enumerate(scores.T, lo):
            precision[place] = average_precision(own[:, [place]].toarray()[:, 0] > 0, column)
    together = sum(predicted, csr_array((len(run.spec.classes),) * 2, dtype=np.int64))
    return LabelScores(
        classes=classes,
        images=labels.shape[0],
        predictions=shown[classes],
        labelled=csr_array(own.T @ labels),
        predicted=csr_array(together[classes]),
        average_precision=precision,
        separation=separation,
    )


def aurocs(labels: csr_array, scores: NDArray[np.floating]) -> Float:
    """Return the AUROC (L, k) of k scores (n, k) for L labels (n, L) of 0 and 1, ties counted half.

    It is the probability that an image with the label has a higher score than one without it.
    """
    ranks = rankdata(scores, axis=0)
    positive = np.asarray(labels.sum(0), np.float64)[:, None]
    negative = labels.shape[0] - positive
    with np.errstate(divide="ignore", invalid="ignore"):  # all images have the label, or none
        lower = labels.T @ ranks - positive * (positive + 1) / 2
        found: Float = np.where(positive * negative > 0, lower / (positive * negative), np.nan)
    return found


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Return Σ (recall − recall before) · precision over the distinct scores, the highest first.

    NaN without images of the label.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(positive[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # of those with the same score
    recall = found[last] / found[-1]
    precision = found[last] / (np.flatnonzero(last) + 1)
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def labels_table(scores: LabelScores, names: tuple[str, ...]) -> pa.Table:
    """Return a line for every label, with its counts and scores."""
    rows = zip(
        scores.classes.tolist(),
        scores.count.tolist(),
        scores.predictions.tolist(),
        scores.both.tolist(),
        scores.average_precision.tolist(),
        scores.auroc.tolist(),
        strict=True,
    )
    content = [
        {
            "class": number,
            "class_name": names[number],
            "images": scores.images,
            "labelled": labelled,
            "predicted": predicted,
            "both": both,
            "precision": both / predicted if predicted else None,
            "recall": both / labelled if labelled else None,
            "average_precision": precision,
            "auroc": auroc if np.isfinite(auroc) else None,
        }
        for number, labelled, predicted, both, precision, auroc in rows
    ]
    return pa.Table.from_pylist(content, schema=LABELS_SCHEMA)


def together_table(scores: LabelScores, names: tuple[str, ...]) -> pa.Table:
    """Return a line for every label and other class that occur together, in order."""
    counts = scores.count
    lines = []
    for place, number in enumerate(scores.classes.tolist()):
        labelled = scores.labelled[[place]].toarray()[0]
        predicted = scores.predicted[[place]].toarray()[0]
        for other in np.flatnonzero(labelled + predicted).tolist():
            lines.append(
                {
                    "label": number,
                    "label_name": names[number],
                    "other": other,
                    "other_name": names[other],
                    "images": int(counts[place]),
                    "labelled": int(labelled[other]),
                    "predicted": int(predicted[other]),
                }
            )
    return pa.Table.from_pylist(lines, schema=TOGETHER_SCHEMA)
