"""Class-embedding-space projection by its definition: one image, one token at a time."""

import copy

import torch
from torch import Tensor, nn


def projection(model: nn.Module, image: Tensor, target: int | None = None) -> list[Tensor]:
    """Return 1 − rank / C (n,) at the patches behind every block, in float64.

    A token is put in the place of every token, so that whatever the model pools is this token, and
    the model's own head answers.
    """
    model = copy.deepcopy(model).double()
    kept: list[Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda m, i, o: kept.append(o[0]))
    with torch.no_grad():
        logits = model(image[None].double())[0]
        target = int(logits.argmax()) if target is None else target
        maps = []
        for tokens in kept:
            values = []
            for token in tokens[model.num_prefix_tokens :]:
                everywhere = token.expand(1, len(tokens), -1)
                said = model.forward_head(model.norm(everywhere))[0]
                values.append(1 - sum(other > said[target] for other in said) / len(said))
            maps.append(torch.stack([torch.as_tensor(value) for value in values]))
    return maps
