"""Pictures of some rows, as the model gets them, and what it says of pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.context import Context
from pipeline.measures.threshold import least_logit
from pipeline.store.crops import CropReader


def load_rows(rows: Sequence[int], context: Context) -> Tensor:
    """Return the model's inputs of some rows, (n, 3, H, W) uint8; what is gone is left out."""
    height, width = context.run.spec.input["size"]
    crops = CropReader(context.run, rows, context.images)
    found = [pixels for row in rows if (pixels := crops.load(row).pixels) is not None]
    stacked = np.stack(found) if found else np.empty((0, 3, height, width), np.uint8)
    return torch.from_numpy(stacked)


def predict(images: Tensor, context: Context) -> Tensor:
    """Return what the run's method sees predicted of images (n, 3, H, W) uint8.

    The class with the highest logit, int64 (n,); where images have several labels, whether the
    score of each output is at least the run's threshold, bool (n, K).
    """
    several, found = context.run.spec.several, [torch.empty(0, dtype=torch.int64)]
    least = least_logit(context.run.config.model.threshold)
    if several:
        found = [torch.empty((0, len(context.run.spec.classes)), dtype=torch.bool)]
    for part in torch.split(images, context.run.config.flow.batch_size):
        if len(part):
            with context.autocast:
                flow = context.flow(context.transform.normalise(part.to(context.device)), None)
            predicted = flow.logits.double() >= least if several else flow.logits.argmax(1)
            found.append(predicted.cpu())
    return torch.cat(found)


def are_predicted(images: Tensor, class_id: int, context: Context) -> Tensor:
    """Return which of the images (n, 3, H, W) uint8 are predicted as a class, bool (n,)."""
    predicted = predict(images, context)
    return predicted[:, class_id] if predicted.ndim == 2 else predicted == class_id
