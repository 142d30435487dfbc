"""A batch of loaded images through flow and measures, and batches into a unit's data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engine.batch import LoadedImage
from pipeline.engine.clock import Clock
from pipeline.engine.context import Context
from pipeline.flows import Flow
from pipeline.measures import (
    Predictions,
    measure,
    measure_pixels,
    perceptual_hash,
    predictions,
)
from pipeline.store import RunSpec, Status, UnitData
from pipeline.store.layout import summary_schema


@dataclass(frozen=True)
class ComputedBatch:
    """A batch on its way into the store: who, what came out, and why some are quarantined.

    ``maps`` (B, L, h, w) float32; ``values`` column → (B,); quarantined images hold zeros.
    """

    images: Sequence[LoadedImage]
    reasons: tuple[str | None, ...]
    maps: NDArray[np.float32]
    values: dict[str, NDArray[np.generic]]


def compute_batch(batch: Sequence[LoadedImage], context: Context, clock: Clock) -> ComputedBatch:
    """Run the model, its flow and the measures on one batch.

    An image that could not be used stays in its place as zeros, so that its batch mates' results
    do not depend on it. Maps or logits that are not finite quarantine their image. ``clock``
    gets the seconds of the flow as ``compute``.
    """
    spec, by_label = context.run.spec, context.run.config.flow.target == "label"
    pixels = np.zeros((len(batch), 3, *spec.input["size"]), np.uint8)
    for place, loaded in enumerate(batch):
        if loaded.pixels is not None:
            pixels[place] = loaded.pixels
    shown = torch.from_numpy(pixels).to(context.device)
    inputs = context.transform.normalise(shown)
    targets = None
    if by_label:
        labels = [loaded.image.label or 0 for loaded in batch]
        targets = torch.tensor(labels, device=context.device)
    with clock("compute"), context.autocast:
        flow = context.flow(inputs, targets)
    flow = replace(flow, maps=flow.maps.float(), logits=flow.logits.float())
    columns = {column.name for column in spec.columns}
    boxes = _padded(batch, context.device) if "box_area" in columns else None
    said, measured = predictions(flow.logits), measure(flow, boxes) | measure_pixels(shown)
    reasons = _reasons(batch, flow, by_label)
    maps = flow.maps.cpu().numpy()
    maps[[reason is not None for reason in reasons]] = 0
    values = _on_host(said, flow, measured) | {"phash": perceptual_hash(shown).cpu().numpy()}
    return ComputedBatch(batch, reasons, maps, values)


def _padded(batch: Sequence[LoadedImage], device: torch.device) -> Tensor:
    """Return the boxes of a batch as (B, K, 4), padded with NaN."""
    most = max(1, *(len(loaded.boxes) for loaded in batch))
    boxes = np.full((len(batch), most, 4), np.nan, np.float32)
    for place, loaded in enumerate(batch):
        boxes[place, : len(loaded.boxes)] = loaded.boxes
    return torch.from_numpy(boxes).to(device)


def _reasons(batch: Sequence[LoadedImage], flow: Flow, by_label: bool) -> tuple[str | None, ...]:
    finite = flow.maps.isfinite().flatten(1).all(1) & flow.logits.isfinite().all(1)
    return tuple(
        loaded.reason
        or ("no_label" if by_label and loaded.image.label is None else None)
        or (None if fine else "non_finite")
        for loaded, fine in zip(batch, finite.tolist(), strict=True)
    )


def _on_host(
    said: Predictions, flow: Flow, measured: dict[str, Tensor]
) -> dict[str, NDArray[np.generic]]:
    """Copy the columns to the host, all floats in one transfer."""
    names = ["confidence", "margin", *measured]
    floats = torch.stack([said.confidence, said.margin, *measured.values()]).cpu().numpy()
    integers = torch.stack([said.pred, flow.target]).to(torch.int32).cpu().numpy()
    return dict(zip(names, floats, strict=True)) | {"pred": integers[0], "target": integers[1]}


def assemble(batches: Sequence[ComputedBatch], spec: RunSpec) -> UnitData:
    """Join the batches of a unit into its maps, status and Parquet part.

    Undefined values (NaN) and everything measured of a quarantined image become null.
    """
    loaded = [item for batch in batches for item in batch.images]
    reasons = [reason for batch in batches for reason in batch.reasons]
    bad = np.array([reason is not None for reason in reasons])
    values = {
        name: np.concatenate([batch.values[name] for batch in batches])
        for name in batches[0].values
    }
    labels = pa.array([item.image.label for item in loaded], pa.int32())
    said, hashes = pa.array(values.pop("pred"), mask=bad), values.pop("phash")
    status = np.where(bad, Status.QUARANTINED, Status.OK).astype(np.uint8)
    columns = {
        "row": [item.image.row for item in loaded],
        "status": status,
        "reason": reasons,
        "label": labels,
        "pred": said,
        "target": pa.array(values.pop("target"), mask=bad),
        "correct": pa.compute.equal(said, labels),
        "width": [item.width for item in loaded],
        "height": [item.height for item in loaded],
        "phash": pa.array(hashes, mask=bad | (hashes == 0)),
    } | {name: pa.array(column, mask=bad | np.isnan(column)) for name, column in values.items()}
    schema = summary_schema(spec.columns)
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return UnitData(
        maps=np.concatenate([batch.maps for batch in batches]),
        status=status,
        summary=pa.Table.from_arrays(arrays, schema=schema),
    )
