"""Chooses the class to explain for each image of a batch, and computes the flow for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from pipeline.engine.batch import LoadedImage
from pipeline.engine.context import Context
from pipeline.engine.step.inputs import Inputs
from pipeline.engine.step.pairs import explain_pairs
from pipeline.errors import UnsupportedModel
from pipeline.flows import Flow
from pipeline.flows.flow import Comparison


@dataclass(frozen=True)
class Explained:
    """A batch's flow, with all floats float32.

    ``label_maps`` (B, L, h, w) is the flow for the label, zeros where an image has none, and
    ``features`` (B, C) the embedding; None where the run does not store them.
    """

    flow: Flow
    label_maps: Tensor | None
    features: Tensor | None


def explain(
    batch: Sequence[LoadedImage], normalised: Tensor, inputs: Inputs, context: Context
) -> Explained:
    """Run model and method on the normalised images (B, 3, H, W) of a batch."""
    targets, own = inputs.get("targets"), inputs.get("own")
    with context.autocast, context.launches.step():
        if targets is not None and context.run.spec.multi_label:
            return _explained_pairs(batch, normalised, context, targets)
        flow, features = _embedded(context, normalised, targets, own)
        label_maps = None
        if "labels" in inputs:
            label_maps = _label_maps(context, flow, normalised, inputs["labels"], own)
    return Explained(flow, label_maps, features)


def _explained_pairs(
    batch: Sequence[LoadedImage], inputs: Tensor, context: Context, targets: Tensor
) -> Explained:
    """Explain rows of images with several labels, each for its own output."""
    config = context.run.config

    def call(rows: Tensor, outputs: Tensor | None) -> tuple[Flow, Tensor | None]:
        return _embedded(context, inputs[rows.to(inputs.device)], outputs, None)

    slots = config.flow.max_outputs if config.flow.target == "predicted" else 0
    images = [item.image for item in batch]
    flow, features = explain_pairs(images, targets, slots, config.model.threshold, call)
    return Explained(flow, None, features)


def _embedded(
    context: Context, inputs: Tensor, targets: Tensor | None, own: Tensor | None
) -> tuple[Flow, Tensor | None]:
    """Return the flow, and the embeddings of its pass where the run stores them."""
    flow = _call(context, inputs, targets, own)
    features = None if context.recorder is None else context.recorder.last
    if features is not None and len(features) != len(inputs):
        raise UnsupportedModel(
            "the method does not run a batch in one pass, so its embeddings cannot be stored; "
            " use flow.features: false, or flow.method: activation"
        )
    return flow, features


def _call(context: Context, inputs: Tensor, targets: Tensor | None, own: Tensor | None) -> Flow:
    if own is None:
        flow = context.flow(inputs, targets)
    else:
        flow = cast(Comparison, context.flow)(inputs, targets, exclude=own)
    return replace(flow, maps=flow.maps.float(), logits=flow.logits.float())


def _label_maps(
    context: Context, flow: Flow, inputs: Tensor, labels: Tensor, own: Tensor | None
) -> Tensor:
    """Return the flow for the label: reused where the prediction is right, else computed."""
    right = labels == flow.target
    maps = torch.where(right[:, None, None, None], flow.maps, 0.0)
    wrong = (labels >= 0) & ~right
    if wrong.any():
        mine = None if own is None else own[wrong]
        maps[wrong] = _call(context, inputs[wrong], labels[wrong], mine).maps
    return maps
