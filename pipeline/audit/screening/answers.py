"""What the model says of edited images, by a forward pass without a map."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from pipeline.engine.context import Context
from pipeline.models.structure.logits import logits_of


def logits(images: Tensor, context: Context) -> Tensor:
    """Return the logits (n, K) float32 of images (n, 3, H, W) uint8, on the host.

    They are those of the run's method. Only a method that compares with references makes them
    itself; of any other they are the model's own, and cost no map.
    """
    found = []
    for part in torch.split(images, context.run.config.flow.batch_size):
        inputs = context.transform.normalise(part.to(context.device))
        with torch.no_grad(), context.autocast:
            if context.references is None:
                found.append(logits_of(context.model(inputs), context.model).float().cpu())
            else:
                found.append(context.flow(inputs, None).logits.float().cpu())
    return torch.cat(found) if found else torch.empty(0, len(context.run.spec.classes))


def margins(found: Tensor, class_id: int) -> Tensor:
    """Return by how much the logit of a class exceeds every other, (n,), of logits (n, K)."""
    others = found.clone()
    others[:, class_id] = -torch.inf
    return found[:, class_id] - others.amax(1)


def batches(edits: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Yield edited images (1, 3, H, W) in batches of ``size``; memory holds one batch."""
    held: list[Tensor] = []
    for edit in edits:
        held.append(edit)
        if len(held) == size:
            yield torch.cat(held)
            held = []
    if held:
        yield torch.cat(held)


def answer(edits: Iterable[Tensor], context: Context) -> Tensor:
    """Return the logits (n, K) of edited images, made one batch at a time."""
    size = context.run.config.flow.batch_size
    parts = [logits(batch, context) for batch in batches(edits, size)]
    return torch.cat(parts) if parts else torch.empty(0, len(context.run.spec.classes))
