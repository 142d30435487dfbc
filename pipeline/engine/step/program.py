"""``program``: normalise, forward, backward, maps, measures – all that a device does with a batch.

For most runs it is *static*: the host never looks at what the device has computed, so that a batch
of some shape always takes the same calls, which a GPU can then repeat by itself
(:mod:`pipeline.engine.step.captured`). It is not where the host decides by results: a second flow
for wrong predictions, and images with several labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engine.batch import LoadedImage
from pipeline.engine.context import Context
from pipeline.engine.step.explain import Explained, explain
from pipeline.engine.step.inputs import Inputs, padded_boxes
from pipeline.engine.usage.clock import Clock
from pipeline.flows.methods.activation import COUNTS, PEAKS
from pipeline.measures import judged, measure, measure_pixels, perceptual_hash, predictions
from pipeline.store.layout import CHANNEL_COUNTS, CHANNEL_PEAKS, HEADS


@dataclass(frozen=True)
class Results:
    """What the host gets of a batch: ``tensors`` by name, and the names of the measures.

    ``maps`` and, where the run stores them, ``label_maps`` (B, L, h, w), ``features`` (B, C),
    ``logits`` (B, K) float32 and ``heads`` (B, L, H, S) float16; ``floats`` (2 + measures, B),
    which begin with confidence and margin; ``integers`` (2, B) are prediction and target, -1 for
    none; ``phash`` (B,); ``finite`` (B,) says whose maps and logits are.
    """

    tensors: dict[str, Tensor]
    measures: tuple[str, ...]
    classes: int
    """K, of the logits."""


def program(
    batch: Sequence[LoadedImage], inputs: Inputs, context: Context, clock: Clock
) -> Results:
    """Compute a batch; the time of its flow is added to ``clock`` as ``compute``.

    ``inputs`` are those of :func:`pipeline.engine.step.inputs.host_inputs`, on the device. A static
    program does not look at ``batch``.
    """
    normalised = context.transform.normalise(inputs["shown"])
    with clock("compute"):
        explained = explain(batch, normalised, inputs, context)
    return results_of(batch, inputs, explained, context)


def results_of(
    batch: Sequence[LoadedImage], inputs: Inputs, explained: Explained, context: Context
) -> Results:
    """Measure the explained images of a batch, and collect what the host gets."""
    spec, flow, shown = context.run.spec, explained.flow, inputs["shown"]
    boxes = inputs.get("boxes")
    if boxes is None and context.measures_boxes:
        # A GPU would be waited for: its targets matter only where boxes have labels.
        labelled = any(loaded.box_labels for loaded in batch)
        outputs = flow.target.tolist() if labelled else [0] * len(batch)
        boxes = padded_boxes(batch, outputs).to(shown.device)
    measured = measure(flow, boxes, explained.label_maps)
    if spec.multi_label:  # rows that explain nothing
        measured = {name: v.masked_fill(flow.target < 0, torch.nan) for name, v in measured.items()}
        predicted = judged(flow.logits, flow.target, context.run.config.model.threshold)
    else:
        predicted = predictions(flow.logits, context.independent)
    measured |= measure_pixels(shown)
    arrays = {
        "maps": flow.maps,
        "label_maps": explained.label_maps,
        "features": explained.features,
        "logits": flow.logits,
    }
    present = {name: values for name, values in arrays.items() if values is not None}
    finite = [values.isfinite().flatten(1).all(1) for values in present.values()]
    if not spec.multi_label:
        del present["logits"]
    if spec.heads:  # NaN where a layer has no such statistic, so not among the finite
        present["heads"] = flow.extras[HEADS].half()
    whole = torch.stack(finite).all(0)
    if spec.layer_channels:
        present[CHANNEL_PEAKS] = flow.extras[PEAKS].half()
        counted = flow.extras[COUNTS] * (whole & inputs["usable"])[:, None, None, None]
        present[CHANNEL_COUNTS] = counted.sum(dim=0, dtype=torch.int32)
    tensors = present | {
        "floats": torch.stack([predicted.confidence, predicted.margin, *measured.values()]),
        "integers": torch.stack([predicted.pred, flow.target]).to(torch.int32),
        "phash": perceptual_hash(shown),
        "finite": whole,
    }
    return Results(tensors, tuple(measured), flow.logits.shape[1])
