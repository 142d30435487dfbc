"""Pictures of some rows, as the model gets them, and what it says of pictures."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.engine.context import Context
from pipeline.images import decode


def load_rows(rows: Sequence[int], context: Context) -> Tensor:
    """Return the model's inputs of some rows, (n, 3, H, W) uint8; what is gone is left out."""
    height, width = context.run.spec.input["size"]
    pixels = [torch.empty(0, 3, height, width, dtype=torch.uint8)]
    most = context.run.config.limits.max_pixels
    for row in rows:
        (item,) = context.run.index_rows(row, row + 1).to_pylist()
        try:
            content = context.fetcher.fetch(item["uri"], item["offset"], item["length"])
        except FileNotFoundError:
            continue
        image = decode(content, most).image
        if image is not None:
            pixels.append(torch.from_numpy(context.transform(image))[None])
    return torch.cat(pixels)


def predict(images: Tensor, context: Context) -> Tensor:
    """Return the class (n,) of images (n, 3, H, W) uint8 that the run's method sees predicted."""
    found = [torch.empty(0, dtype=torch.int64)]
    for part in torch.split(images, context.run.config.flow.batch_size):
        if len(part):
            with context.autocast:
                flow = context.flow(context.transform.normalise(part.to(context.device)), None)
            found.append(flow.logits.argmax(1).cpu())
    return torch.cat(found)
