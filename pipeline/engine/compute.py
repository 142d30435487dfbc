"""What the host makes of a computed batch, and of batches a unit's data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from pipeline.engine.batch import IndexedImage, LoadedImage
from pipeline.engine.context import Context
from pipeline.images import Reason
from pipeline.store import RunSpec, Status, UnitData
from pipeline.store.layout import summary_schema

Integers = NDArray[np.generic]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class ComputedBatch:
    """A computed batch before it is stored: images, results and quarantine reasons.

    ``maps`` and, where the run stores them, ``label_maps`` (B, L, h, w), ``features`` (B, C) and
    ``logits`` (B, K) float32, ``heads`` (B, L, H, S) and ``channel_peaks`` (B, L, C)
    float16; ``values`` column → (B,); quarantined images hold zeros. ``channel_counts``
    (L, C, bins) are of the usable images of the batch, others fill it up or not.
    """

    images: Sequence[LoadedImage]
    reasons: tuple[Reason | None, ...]
    maps: NDArray[np.float32]
    values: dict[str, NDArray[np.generic]]
    label_maps: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None
    heads: NDArray[np.float16] | None = None
    channel_peaks: NDArray[np.float16] | None = None
    channel_counts: NDArray[np.int32] | None = None

    def first(self, count: int) -> "ComputedBatch":
        """Return the first ``count`` images."""
        return ComputedBatch(
            images=self.images[:count],
            reasons=self.reasons[:count],
            maps=self.maps[:count],
            values={name: column[:count] for name, column in self.values.items()},
            label_maps=None if self.label_maps is None else self.label_maps[:count],
            features=None if self.features is None else self.features[:count],
            logits=None if self.logits is None else self.logits[:count],
            heads=None if self.heads is None else self.heads[:count],
            channel_peaks=None if self.channel_peaks is None else self.channel_peaks[:count],
            channel_counts=self.channel_counts,
        )


_PER_IMAGE = ("maps", "label_maps", "features", "logits", "heads", "channel_peaks")
"""What is stored of each image; zeros for quarantined ones."""


def computed_batch(
    batch: Sequence[LoadedImage],
    found: Mapping[str, NDArray[Any]],
    measures: Sequence[str],
    context: Context,
) -> ComputedBatch:
    """Return a batch's results as they are stored, of what the host got from its device.

    ``found`` and ``measures`` are those of :class:`pipeline.engine.step.program.Results`. An image
    with non-finite maps or logits is quarantined.
    """
    reasons = _reasons(batch, found["finite"], context)
    bad = np.array([reason is not None for reason in reasons])
    stored = {name: found[name] for name in _PER_IMAGE if name in found}
    for values in stored.values():
        values[bad] = 0
    columns = dict(zip(["confidence", "margin", *measures], found["floats"], strict=True))
    pred, target = found["integers"]
    return ComputedBatch(
        images=batch,
        reasons=reasons,
        values=columns | {"pred": pred, "target": target, "phash": found["phash"]},
        **stored,
        channel_counts=found.get("channel_counts"),
    )


def _reasons(
    batch: Sequence[LoadedImage], finite: NDArray[np.bool_], context: Context
) -> tuple[Reason | None, ...]:
    return tuple(
        unusable(loaded, context) or (None if fine else Reason.NON_FINITE)
        for loaded, fine in zip(batch, finite.tolist(), strict=True)
    )


def unusable(loaded: LoadedImage, context: Context) -> Reason | None:
    """Return why an image cannot be used, as far as that is known before it is computed."""
    return loaded.reason or _unexplainable(loaded, context)


def _unexplainable(loaded: LoadedImage, context: Context) -> Reason | None:
    """Return why a usable image cannot be explained, None if it can."""
    references, spec = context.references, context.run.spec
    asked = context.run.config.flow.target == "label" and not spec.multi_label
    if asked and loaded.image.label is None:
        return Reason.NO_LABEL
    if references is not None and references.pairs is not None:
        return None if references.pairs.get(loaded.image.place.uri) else Reason.NO_REFERENCE
    return None


def assemble(batches: Sequence[ComputedBatch], spec: RunSpec) -> UnitData:
    """Join the batches of a unit into its maps, status and Parquet part.

    Undefined values (NaN) and all measures of a quarantined image become null.
    """
    loaded = [item for batch in batches for item in batch.images]
    reasons = [reason for batch in batches for reason in batch.reasons]
    bad = np.array([reason is not None for reason in reasons])
    values = {
        name: np.concatenate([batch.values[name] for batch in batches])
        for name in batches[0].values
    }
    pred, target, hashes = values.pop("pred"), values.pop("target"), values.pop("phash")
    predicted = pa.array(pred, mask=bad | (pred < 0))
    if spec.multi_label:
        labels, correct = _judged([item.image for item in loaded], pred, target, bad)
    else:
        labels = pa.array([item.image.label for item in loaded], pa.int32())
        correct = pa.compute.equal(predicted, labels)
    status = np.where(bad, Status.QUARANTINED, Status.OK).astype(np.uint8)
    columns = {
        "row": [item.image.row for item in loaded],
        "status": status,
        "reason": reasons,
        "label": labels,
        "pred": predicted,
        "target": pa.array(target, mask=bad | (target < 0)),
        "correct": correct,
        "image": [item.image.image for item in loaded],
        "width": [item.width for item in loaded],
        "height": [item.height for item in loaded],
        "phash": pa.array(hashes, mask=bad | (hashes == 0)),
    } | {name: pa.array(column, mask=bad | np.isnan(column)) for name, column in values.items()}
    schema = summary_schema(spec.columns, spec.multi_label)
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return UnitData(
        maps=np.concatenate([batch.maps for batch in batches]),
        status=status,
        summary=pa.Table.from_arrays(arrays, schema=schema),
        label_maps=_joined([batch.label_maps for batch in batches]),
        features=_joined([batch.features for batch in batches]),
        logits=_joined([batch.logits for batch in batches]),
        heads=_joined([batch.heads for batch in batches]),
        channel_peaks=_joined([batch.channel_peaks for batch in batches]),
        channel_counts=_summed([batch.channel_counts for batch in batches]),
    )


def _judged(
    rows: Sequence[IndexedImage], pred: Integers, target: Integers, bad: NDArray[np.bool_]
) -> tuple[pa.Array, pa.Array]:
    """Return the label of rows of images with several, and whether label and prediction agree.

    The label is the explained output, where the image has it (of a quarantined image the label of
    its row). Without label and prediction there is nothing to be right or wrong.
    """
    labels, correct = [], []
    for row, predicted, output, unusable in zip(rows, pred, target, bad, strict=True):
        own = int(output) if row.labels is not None and int(output) in row.labels else None
        labels.append(row.label if unusable else own)
        judged = not unusable and row.labels is not None and (own is not None or predicted >= 0)
        correct.append(own == int(predicted) if judged else None)
    return pa.array(labels, pa.int32()), pa.array(correct, pa.bool_())


def _summed(parts: Sequence[NDArray[np.int32] | None]) -> NDArray[np.uint32] | None:
    present = [part for part in parts if part is not None]
    return np.sum(present, axis=0, dtype=np.uint32) if present else None


def _joined(parts: Sequence[NDArray[Number] | None]) -> NDArray[Number] | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present else None
