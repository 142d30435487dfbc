"""A batch of loaded images through flow and measures, and batches into a unit's data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engine.batch import IndexedImage, LoadedBatch, LoadedImage
from pipeline.engine.context import Context
from pipeline.engine.explain import Explained, explain
from pipeline.engine.to_host import to_host
from pipeline.engine.usage.clock import Clock
from pipeline.images import Reason
from pipeline.measures import (
    judged,
    measure,
    measure_pixels,
    perceptual_hash,
    predictions,
)
from pipeline.store import RunSpec, Status, UnitData
from pipeline.store.layout import HEADS, summary_schema

Integers = NDArray[np.generic]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class ComputedBatch:
    """A computed batch before it is stored: images, results and quarantine reasons.

    ``maps`` and, where the run stores them, ``label_maps`` (B, L, h, w), ``features`` (B, C) and
    ``logits`` (B, K) float32, ``heads`` (B, L, H, S) float16; ``values`` column → (B,);
    quarantined images hold zeros.
    """

    images: Sequence[LoadedImage]
    reasons: tuple[Reason | None, ...]
    maps: NDArray[np.float32]
    values: dict[str, NDArray[np.generic]]
    label_maps: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None
    heads: NDArray[np.float16] | None = None

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
        )


def compute_batch(batch: Sequence[LoadedImage], context: Context, clock: Clock) -> ComputedBatch:
    """Run the model, its flow and the measures on one batch.

    An image that could not be used stays in its place as zeros, so that the results of the other
    images in the batch do not depend on it. An image with non-finite maps or logits is quarantined.
    The time of the flow is added to ``clock`` as ``compute``.
    """
    shown = shown_on_device(batch, context.run.spec.input["size"], context.device)
    inputs = context.transform.normalise(shown)
    with clock("compute"):
        explained = explain(batch, inputs, context)
    return measure_batch(batch, shown, explained, context)


def measure_batch(
    batch: Sequence[LoadedImage], shown: Tensor, explained: Explained, context: Context
) -> ComputedBatch:
    """Measure the explained images of a batch and bring all of it to the host.

    ``shown`` are the pixels (B, 3, H, W) uint8 on the device.
    """
    spec = context.run.spec
    flow, label_maps = explained.flow, explained.label_maps
    columns = {column.name for column in spec.columns}
    boxes = _padded(batch, flow.target, context.device) if "box_area" in columns else None
    measured = measure(flow, boxes, label_maps)
    if spec.multi_label:  # rows that explain nothing
        measured = {name: v.masked_fill(flow.target < 0, torch.nan) for name, v in measured.items()}
    measured |= measure_pixels(shown)
    found = to_host(_results(explained, measured, shown, context))
    reasons = _reasons(batch, found["finite"], context)
    bad = np.array([reason is not None for reason in reasons])
    for name in _PER_IMAGE & found.keys():
        found[name][bad] = 0
    values = dict(zip(["confidence", "margin", *measured], found["floats"], strict=True))
    pred, target = found["integers"]
    return ComputedBatch(
        images=batch,
        reasons=reasons,
        maps=found["maps"],
        values=values | {"pred": pred, "target": target, "phash": found["phash"]},
        label_maps=found.get("label_maps"),
        features=found.get("features"),
        logits=found.get("logits"),
        heads=found.get("heads"),
    )


_PER_IMAGE = {"maps", "label_maps", "features", "logits", "heads"}
"""What is stored of each image; zeros for quarantined ones."""


def _results(
    explained: Explained, measured: dict[str, Tensor], shown: Tensor, context: Context
) -> dict[str, Tensor]:
    """Return what the host gets of a batch; class -1 means none.

    ``floats`` (2 + measures, B) begin with confidence and margin, ``integers`` (2, B) are
    prediction and target, ``finite`` (B,) says whose maps and logits are.
    """
    flow = explained.flow
    if context.run.spec.multi_label:
        predicted = judged(flow.logits, flow.target, context.run.config.model.threshold)
    else:
        predicted = predictions(flow.logits, context.independent)
    arrays = {
        "maps": flow.maps,
        "label_maps": explained.label_maps,
        "features": explained.features,
        "logits": flow.logits,
    }
    present = {name: values for name, values in arrays.items() if values is not None}
    finite = [values.isfinite().flatten(1).all(1) for values in present.values()]
    if not context.run.spec.multi_label:
        del present["logits"]
    if context.run.spec.heads:  # NaN where a layer has no such statistic, so not among the finite
        present["heads"] = flow.extras[HEADS].half()
    return present | {
        "floats": torch.stack([predicted.confidence, predicted.margin, *measured.values()]),
        "integers": torch.stack([predicted.pred, flow.target]).to(torch.int32),
        "phash": perceptual_hash(shown),
        "finite": torch.stack(finite).all(0),
    }


def shown_on_device(
    batch: Sequence[LoadedImage], size: tuple[int, int], device: torch.device
) -> Tensor:
    """Return the pixels (B, 3, H, W) uint8, zeros for images that could not be used."""
    if isinstance(batch, LoadedBatch) and batch.pixels is not None:
        return torch.from_numpy(batch.pixels).to(device, non_blocking=True)
    # From pinned memory a GPU copies them while the host continues.
    pixels = torch.zeros(len(batch), 3, *size, dtype=torch.uint8, pin_memory=device.type == "cuda")
    host = pixels.numpy()
    for place, loaded in enumerate(batch):
        if loaded.pixels is not None:
            host[place] = loaded.pixels
    return pixels.to(device, non_blocking=True)


def _padded(batch: Sequence[LoadedImage], targets: Tensor, device: torch.device) -> Tensor:
    """Return the boxes of a batch as (B, K, 4), padded with NaN."""
    # A GPU would be waited for: its targets matter only where boxes have labels.
    labelled = any(loaded.box_labels for loaded in batch)
    outputs = targets.tolist() if labelled else [0] * len(batch)
    shown = [loaded.boxes_of(output) for loaded, output in zip(batch, outputs, strict=True)]
    most = max(1, *map(len, shown))
    boxes = np.full((len(batch), most, 4), np.nan, np.float32)
    for place, own in enumerate(shown):
        boxes[place, : len(own)] = own
    return torch.from_numpy(boxes).to(device)


def _reasons(
    batch: Sequence[LoadedImage], finite: NDArray[np.bool_], context: Context
) -> tuple[Reason | None, ...]:
    return tuple(
        loaded.reason or _unexplainable(loaded, context) or (None if fine else Reason.NON_FINITE)
        for loaded, fine in zip(batch, finite.tolist(), strict=True)
    )


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


def _joined(parts: Sequence[NDArray[Number] | None]) -> NDArray[Number] | None:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present else None
