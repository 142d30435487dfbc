"""``host_inputs``: what the device needs of a batch, as tensors."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.batch import LoadedBatch, LoadedImage
from pipeline.engine.compute import unusable
from pipeline.engine.context import Context
from pipeline.engine.inspection.target import WORDS, explained_class

Inputs = Mapping[str, Tensor]
"""The tensors of a batch of B images, all of them on the host or all on one device.

``shown`` (B, 3, H, W) uint8 are the pixels, zeros for images that cannot be used. Where the run
needs them: ``targets`` (B,) int64, the outputs to explain (those that a table lists: (B, R)),
``labels`` (B,) int64, for which there is a second flow (-1: none), ``own`` (B,) int64, the
reference to leave out, ``usable`` (B,) bool, whose activations are counted, and ``boxes``
(B, K, 4) float32, padded with NaN.
"""


def host_inputs(batch: Sequence[LoadedImage], context: Context, *, even: bool = False) -> Inputs:
    """Return what a batch's flow and measures need, on the host.

    With ``even`` K is a power of two, so that batches of few shapes occur; it changes no result.
    """
    spec, references = context.run.spec, context.references
    found = {"shown": _pixels(batch, spec.input["size"])}
    targets = _targets(batch, context)
    if targets is not None:
        found["targets"] = targets
    if context.run.config.flow.target == "both" and not spec.multi_label:
        found["labels"] = _labels(batch, usable=True)
    if references is not None:
        places = [(item.image.place.uri, item.image.place.offset) for item in batch]
        found["own"] = references.own(places)
    if spec.layer_channels:
        found["usable"] = torch.tensor([unusable(loaded, context) is None for loaded in batch])
    if context.measures_boxes and not spec.multi_label:
        found["boxes"] = padded_boxes(batch, [0] * len(batch), even=even)
    return found


class Uploads:
    """Brings inputs to a device; a GPU copies them on a stream of its own, beside its computing."""

    def __init__(self, device: torch.device) -> None:
        cuda: Any = torch.cuda
        self._device = device
        self._done: Any = None
        self._stream = cuda.Stream(device) if device.type == "cuda" else None

    def begin(self, inputs: Inputs) -> Inputs:
        """Return inputs on the device, for which its current stream waits."""
        if self._stream is None:
            return inputs
        pinned = {
            name: values if values.is_pinned() else values.pin_memory()
            for name, values in inputs.items()
        }
        computing, event = torch.cuda.current_stream(self._device), cast("Any", torch.cuda.Event)
        with torch.cuda.stream(self._stream):
            there = {name: one.to(self._device, non_blocking=True) for name, one in pinned.items()}
            self._done = event(blocking=True)
            self._done.record(self._stream)
        computing.wait_event(self._done)
        for values in there.values():
            values.record_stream(computing)  # used there, so not free before that is over
        return there

    def wait(self) -> None:
        """Wait until all inputs have left the host's memory."""
        if self._done is not None:
            self._done.synchronize()


def padded_boxes(
    batch: Sequence[LoadedImage], outputs: Sequence[int], *, even: bool = False
) -> Tensor:
    """Return the boxes of a batch that show each image's output, (B, K, 4), padded with NaN."""
    shown = [loaded.boxes_of(output) for loaded, output in zip(batch, outputs, strict=True)]
    most = max(1, *map(len, shown))
    if even:
        most = 1 << (most - 1).bit_length()
    boxes = np.full((len(batch), most, 4), np.nan, np.float32)
    for place, own in enumerate(shown):
        boxes[place, : len(own)] = own
    return torch.from_numpy(boxes)


def _pixels(batch: Sequence[LoadedImage], size: tuple[int, int]) -> Tensor:
    if isinstance(batch, LoadedBatch) and batch.pixels is not None:
        return torch.from_numpy(batch.pixels)
    pixels = torch.zeros(len(batch), 3, *size, dtype=torch.uint8)
    host = pixels.numpy()
    for place, loaded in enumerate(batch):
        if loaded.pixels is not None:
            host[place] = loaded.pixels
    return pixels


def _labels(batch: Sequence[LoadedImage], *, usable: bool = False) -> Tensor:
    """Return the labels (B,), -1 for none; with ``usable`` also for images that have no pixels."""
    known = [
        item.image.label is not None and not (usable and item.reason is not None) for item in batch
    ]
    pairs = zip(batch, known, strict=True)
    return torch.tensor([item.image.label if has else -1 for item, has in pairs])


def _targets(batch: Sequence[LoadedImage], context: Context) -> Tensor | None:
    """Return what is explained of each image; None: what the model predicts."""
    spec, references = context.run.spec, context.references
    target = context.run.config.flow.target
    if references is not None and references.pairs is not None:
        return references.listed([item.image.place.uri for item in batch])
    if spec.multi_label and target in WORDS:
        return _labels(batch)
    if target == "label":
        return _labels(batch).clamp(min=0)
    if target not in WORDS:
        return torch.full((len(batch),), explained_class(target, spec.classes))
    return None
