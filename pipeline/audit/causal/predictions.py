"""Pictures of some rows, as the model gets them, and what it says of pictures."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.engine.context import Context
from pipeline.measures.threshold import least_logit
from pipeline.store.crops import CropReader


def load_rows(rows: Sequence[int], context: Context) -> Tensor:
    """Return the model's inputs of some rows, (n, 3, H, W) uint8; what is gone is left out."""
    found = [image for image in load_each(rows, context) if image is not None]
    nothing = torch.empty(0, 3, *context.run.spec.input["size"], dtype=torch.uint8)
    return torch.cat(found) if found else nothing


def load_each(rows: Sequence[int], context: Context) -> list[Tensor | None]:
    """Return the model's input of each row, (1, 3, H, W) uint8; None of what is gone."""
    crops = CropReader(context.run, rows, context.images)
    pixels = (crops.load(row).pixels for row in rows)
    return [None if image is None else torch.from_numpy(image[None]) for image in pixels]


def predict(images: Tensor, context: Context) -> Tensor:
    """Return what the run's method sees predicted of images (n, 3, H, W) uint8.

    The class with the highest logit, int64 (n,); where images have several labels, whether the
    score of each output is at least the run's threshold, bool (n, K).
    """
    multi_label, found = context.run.spec.multi_label, [torch.empty(0, dtype=torch.int64)]
    least = least_logit(context.run.config.model.threshold)
    if multi_label:
        found = [torch.empty((0, len(context.run.spec.classes)), dtype=torch.bool)]
    for part in torch.split(images, context.run.config.flow.batch_size):
        if len(part):
            with context.autocast:
                flow = context.flow(context.transform.normalise(part.to(context.device)), None)
            predicted = flow.logits.double() >= least if multi_label else flow.logits.argmax(1)
            found.append(predicted.cpu())
    return torch.cat(found)


def are_predicted(images: Tensor, class_id: int, context: Context) -> Tensor:
    """Return which of the images (n, 3, H, W) uint8 are predicted as a class, bool (n,)."""
    predicted = predict(images, context)
    return predicted[:, class_id] if predicted.ndim == 2 else predicted == class_id
