"""Models built by a user-supplied function: any network, from any library.

Naming a function in a configuration runs its code, here and on every worker.
"""

import hashlib
import importlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.models.loading.checkpoint import first_line, read_checkpoint
from pipeline.models.loading.load import LoadedModel, fill, tensors_sha256
from pipeline.models.loading.preconditions import unwrapped
from pipeline.models.loading.preprocessing import (
    input_beside,
    input_within,
    labels_within,
    plain,
)
from pipeline.models.structure.logits import is_embedding, logits_of

_NEEDED = ("size", "mean", "std")
_USUAL = {"interpolation": "bilinear", "crop_pct": 0.875, "crop_mode": "center"}
"""The usual evaluation transform, as in torchvision."""


def load_factory(
    factory: str,
    weights: str = "pretrained",
    options: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    weights_key: str | None = None,
) -> LoadedModel:
    """Call a function for a model, and load weights into it strictly if a file is given.

    Parameters
    ----------
    factory
        ``package.module:function``, importable here and on every worker. It is called with
        ``options`` and returns an ``nn.Module``, or a pair of one and its input: a dictionary of
        size ``[H, W]``, mean, std, and optionally interpolation, crop_pct and crop_mode; the
        ``transforms()`` of torchvision's weights; or an image processor of transformers.
    weights
        ``pretrained``: as the function returns them; or a file.
    given
        The configuration's ``model.input``, for fields of the input that are not known otherwise.
    weights_key
        See :func:`pipeline.models.loading.checkpoint.read_checkpoint`.

    Returns
    -------
    LoadedModel
        Its hash is that of the weights and of the source file of the function, so that workers
        and later commands run the same.

    Raises
    ------
    ConfigError
        The function cannot be imported or called, or the model's input is unknown.
    UnsupportedModel
        It does not return a model, or the output of the model is not (B, K).
    """
    function, source = _imported(factory)
    try:
        made = function(**dict(options or {}))
    except Exception as error:  # the user's own code
        raise ConfigError(
            f"model.factory: {factory} raised {type(error).__name__}: {first_line(error)}; "
            "check it and model.options"
        ) from error
    model, known = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, nn.Module):
        raise UnsupportedModel(
            f"model.factory: {factory} returns a {type(made).__name__}; return an nn.Module, or a "
            "pair of one and its input, a dictionary of size, mean and std"
        )
    model = unwrapped(model)
    notes: tuple[str, ...] = ()
    if weights != "pretrained":
        checkpoint = fill(model, read_checkpoint(Path(weights), weights_key))
        sha256, notes = checkpoint.sha256, checkpoint.notes
    elif weights_key is not None:
        raise ConfigError("model.weights_key chooses weights of a file; remove it")
    else:
        sha256 = tensors_sha256(model.state_dict())
    model.eval().requires_grad_(False)
    image, assumed = _input(factory, model, known, dict(given or {}))
    output, classes = _outputs(model, image["size"])
    model.num_classes = classes  # type: ignore[assignment]
    identity = hashlib.sha256(f"{sha256} {source}".encode()).hexdigest()
    if names := labels_within(model, classes):
        model.pretrained_cfg = {"label_names": names}  # type: ignore[assignment]
    embeds = is_embedding(output) or isinstance(getattr(model, "preprocess_cfg", None), Mapping)
    return LoadedModel(model, identity, image, classes, (*notes, *assumed), embeds=embeds)


def _imported(factory: str) -> tuple[Any, str]:
    """Return the function and the sha256 of the file that it is written in."""
    module_name, _, name = factory.partition(":")
    if not name.isidentifier() or not all(map(str.isidentifier, module_name.split("."))):
        raise ConfigError(f"model.factory is {factory!r}; write it as package.module:function")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"model.factory: cannot import {module_name} ({first_line(error)}); put its folder "
            "on PYTHONPATH here and on every worker, or the file next to the configuration"
        ) from error
    except Exception as error:  # the user's own code
        raise ConfigError(
            f"model.factory: importing {module_name} raised {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"model.factory: {module_name} has no function {name}")
    file = inspect.getsourcefile(module)
    content = Path(file).read_bytes() if file else module_name.encode()
    return function, hashlib.sha256(content).hexdigest()


def _input(
    factory: str, model: nn.Module, known: object, given: dict[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a model's input, and sentences on which of its fields were assumed."""
    found = input_within(model) if known is None else input_beside(known)
    if found is None:
        raise ConfigError(
            f"model.factory: {factory} returns a {type(known).__name__} with the model; return a "
            "dictionary of size, mean and std, torchvision's transforms or an image processor"
        )
    given = {name: plain(value) for name, value in given.items()}
    whole = found | given
    if missing := [name for name in _NEEDED if name not in whole]:
        raise ConfigError(
            f"the {' and '.join(missing)} of the images that {factory} takes are not known; give "
            "model.input: {size: [H, W], mean: [r, g, b], std: [r, g, b]}, or return them with "
            "the model"
        )
    assumed = {name: value for name, value in _USUAL.items() if name not in whole}
    note = ", ".join(f"{name} {value}" for name, value in assumed.items())
    return {**assumed, **whole}, (f"input of {factory} assumed: {note}",) if note else ()


@torch.no_grad()
def _outputs(model: nn.Module, size: Sequence[int]) -> tuple[Any, int]:
    """Return what a model returns for a blank image of ``size`` (H, W), and how many outputs."""
    weight = next(model.parameters(), None)
    images: Tensor = torch.zeros(1, 3, int(size[0]), int(size[1]))
    if weight is not None:
        images = images.to(weight.device)
        if weight.is_floating_point() and weight.dtype != images.dtype:
            raise UnsupportedModel(
                f"the weights of {type(model).__name__} are {weight.dtype}; return model.float(), "
                "and choose flow.precision for half precision"
            )
    try:
        output = model(images)
    except Exception as error:  # any network
        raise UnsupportedModel(
            f"{type(model).__name__} does not take an image (1, 3, {size[0]}, {size[1]}): "
            f"{first_line(error)}; check model.input.size, or wrap the model"
        ) from error
    try:
        return output, logits_of(output, model).shape[1]
    except UnsupportedModel as error:
        if isinstance(getattr(model, "visual", None), nn.Module):  # open_clip's pair of towers
            raise UnsupportedModel(f"{error}; or return its image tower, model.visual") from error
        raise
