"""``half_weights``: weights rounded to half precision once, not by autocast at every call."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

_ROUNDED: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv2d)
"""Layers whose weights autocast rounds whenever they are called. Classes derived from them may do
something else with their weights first."""


def half_weights(model: nn.Module, half: torch.dtype, call: Callable[[], Sequence[Tensor]]) -> bool:
    """Round the weights of linear layers and convolutions once, if that changes no bit.

    Autocast keeps no rounded copy of weights that have no gradient, but makes one at every call,
    which takes memory bandwidth and, on a GPU, many small kernels. All else stays as it is: norms,
    the residual stream and softmax are in float32.

    Parameters
    ----------
    model : nn.Module
    half : torch.dtype
        The type that autocast rounds to.
    call : callable
        Runs the model under autocast and returns its results. They are compared: a model that also
        uses weights in another way gets them back.

    Returns
    -------
    bool
        Whether the weights are rounded now.
    """
    weights = {
        weight
        for layer in model.modules()
        if type(layer) in _ROUNDED
        for name in ("weight", "bias")
        if isinstance(weight := layer._parameters.get(name), nn.Parameter)
        and weight.dtype == torch.float32
    }
    if not weights:
        return False
    wanted = [result.clone() for result in call()]
    exact = {weight: weight.data for weight in weights}
    for weight in weights:
        weight.data = weight.data.to(half)
    same = False
    with suppress(Exception):  # of an operation on weights of two types
        same = all(torch.equal(*pair) for pair in zip(call(), wanted, strict=True))
    if not same:
        for weight, values in exact.items():
            weight.data = values
    return same
