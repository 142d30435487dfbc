"""Confusions: which class is called which other, with the images, the most frequent first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.store import Run, Status

LEAST = 3
"""Images from which a confusion is more than a coincidence."""
SHOWN = 6
"""Images of a confusion that are shown."""


@dataclass(frozen=True)
class Confusion:
    """``images`` of the ``of`` of a class are called another; ``back`` is the other way round."""

    label: int
    answer: int
    images: int
    of: int
    back: int
    rows: tuple[int, ...] = ()
    """The most confident first."""


@dataclass(frozen=True)
class Answers:
    """Labels and answers of all images, counted."""

    counts: Mapping[tuple[int, int], int]
    """(label, answer) → images."""
    confusions: tuple[Confusion, ...]
    """The most frequent first, at least ``LEAST`` images each."""

    @property
    def images(self) -> int:
        """Images that have a label."""
        return sum(self.counts.values())

    @property
    def right(self) -> int:
        """Images whose answer is their label."""
        return sum(n for (label, answer), n in self.counts.items() if label == answer)

    @property
    def chance(self) -> float:
        """The accuracy that answers of the same frequencies would have at random, in [0, 1]."""
        labels, answers = Counter[int](), Counter[int]()
        for (label, answer), n in self.counts.items():
            labels[label] += n
            answers[answer] += n
        total = sum(labels.values())
        return sum(labels[c] * answers[c] for c in labels) / total**2 if total else 0.0


def read_answers(run: Run, most: int) -> Answers:
    """Count the answers of a run, batch by batch, and find the ``most`` frequent confusions.

    None where images have several labels: one does not exclude another.
    """
    if run.spec.multi_label:
        return Answers({}, ())
    counts = Counter[tuple[int, int]]()
    for batch in run.summary().to_batches(
        columns=["label", "pred"], filter=pc.field("status") == int(Status.OK)
    ):
        known = batch.filter(pc.and_(batch["label"].is_valid(), batch["pred"].is_valid()))
        pairs = np.stack([known[name].to_numpy() for name in ("label", "pred")])
        found, number = np.unique(pairs, axis=1, return_counts=True)
        for pair, images in zip(found.T.tolist(), number.tolist(), strict=True):
            counts[pair[0], pair[1]] += images
    return Answers(counts, _confusions(run, counts, most))


def _confusions(
    run: Run, counts: Mapping[tuple[int, int], int], most: int
) -> tuple[Confusion, ...]:
    labels = Counter[int]()
    for (label, _), n in counts.items():
        labels[label] += n
    wrong = [(n, *pair) for pair, n in counts.items() if pair[0] != pair[1] and n >= LEAST]
    wrong.sort(key=lambda item: (-item[0], -item[0] / labels[item[1]], item[1:]))
    chosen = [(label, answer) for _, label, answer in wrong[:most]]
    rows = _rows(run, chosen)
    return tuple(
        Confusion(
            label=label,
            answer=answer,
            images=counts[label, answer],
            of=labels[label],
            back=counts.get((answer, label), 0),
            rows=rows[label, answer],
        )
        for label, answer in chosen
    )


def _rows(run: Run, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, ...]]:
    """Return the images of each pair of which the model is surest; ties go by row."""
    if not pairs:
        return {}
    labels = pa.array(sorted({label for label, _ in pairs}), pa.int32())
    table = run.summary().to_table(
        columns=["row", "label", "pred", "confidence"],
        filter=pc.field("label").isin(labels)
        & (pc.field("label") != pc.field("pred"))
        & (pc.field("status") == int(Status.OK)),
    )
    table = table.sort_by([("confidence", "descending"), ("row", "ascending")])
    found: dict[tuple[int, int], list[int]] = {pair: [] for pair in pairs}
    columns = (table[name].to_pylist() for name in ("row", "label", "pred"))
    for row, label, answer in zip(*columns, strict=True):
        if (label, answer) in found and len(found[label, answer]) < SHOWN:
            found[label, answer].append(row)
    return {pair: tuple(rows) for pair, rows in found.items()}
