"""Pictures of some rows, as the model gets them, and what it says of pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.context import Context
from pipeline.store.crops import CropReader


def load_rows(rows: Sequence[int], context: Context) -> Tensor:
    """Return the model's inputs of some rows, (n, 3, H, W) uint8; what is gone is left out."""
    height, width = context.run.spec.input["size"]
    crops = CropReader(context.run, rows, context.images)
    found = [pixels for row in rows if (pixels := crops.load(row).pixels) is not None]
    stacked = np.stack(found) if found else np.empty((0, 3, height, width), np.uint8)
    return torch.from_numpy(stacked)


def predict(images: Tensor, context: Context) -> Tensor:
    """Return the class (n,) of images (n, 3, H, W) uint8 that the run's method sees predicted."""
    found = [torch.empty(0, dtype=torch.int64)]
    for part in torch.split(images, context.run.config.flow.batch_size):
        if len(part):
            with context.autocast:
                flow = context.flow(context.transform.normalise(part.to(context.device)), None)
            found.append(flow.logits.argmax(1).cpu())
    return torch.cat(found)
