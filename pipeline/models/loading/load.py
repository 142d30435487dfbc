"""From a timm name and weights to an evaluation model, with the hash of exactly those weights."""

import difflib
import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.models.loading.checkpoint import Checkpoint, State, first_line, read_checkpoint

_OURS = ("pretrained", "checkpoint_path")


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to be explained.

    ``model`` is in evaluation mode and its parameters require no gradients. ``input`` is the
    model's own evaluation transform: size ``[H, W]`` in pixels, mean, std, interpolation,
    crop_pct, crop_mode, all plain JSON types. ``independent``: every output is a separate label
    with a sigmoid. ``embeds``: the outputs are an image embedding by what the model says of them.
    ``notes`` are sentences on what was assumed.
    """

    model: nn.Module
    weights_sha256: str
    input: dict[str, Any]
    num_classes: int
    notes: tuple[str, ...] = ()
    independent: bool = False
    embeds: bool = False


def load_model(
    name: str,
    weights: str = "pretrained",
    options: Mapping[str, Any] | None = None,
    num_classes: int | None = None,
    weights_key: str | None = None,
) -> LoadedModel:
    """Build a timm model and load its weights strictly.

    Parameters
    ----------
    name
        A timm model name, with or without a pretrained tag.
    weights
        ``pretrained`` (timm's hub) or a local file: ``.safetensors``, or a pickled file that
        needs no code to load. A file is hashed as bytes, hub weights as tensors in the order
        of their sorted keys.
    options
        Further arguments of ``timm.create_model``, e.g. ``img_size`` or ``dynamic_img_size``.
    num_classes
        Size of the head. By default that of the classifier in the file, 0 (no head) where it has
        none; for ``pretrained`` timm's. 0 leaves out a file's classifier.
    weights_key
        Which weights of a checkpoint; see
        :func:`pipeline.models.loading.checkpoint.read_checkpoint`.

    Raises
    ------
    ConfigError
        Unknown name (the message lists close ones), refused option, unreadable or unsafe file, or
        keys and shapes that do not fit the model.
    """
    options = dict(options or {})
    num_classes = options.pop("num_classes", num_classes)
    if taken := [key for key in _OURS if key in options]:
        raise ConfigError(f"model.options: {taken[0]} is set by model.weights; remove it")
    _known(name)
    notes: tuple[str, ...] = ()
    if weights == "pretrained":
        if weights_key is not None:
            raise ConfigError("model.weights_key chooses weights of a file; remove it")
        model = _create(name, options, num_classes, pretrained=True)
        sha256 = tensors_sha256(model.state_dict())
    else:
        checkpoint = read_checkpoint(Path(weights), weights_key)
        if num_classes is None:
            num_classes = _classes_in(checkpoint.state, name)
        model = _create(name, options, num_classes, pretrained=False)
        checkpoint = fill(model, checkpoint, () if num_classes else _classifiers(name))
        sha256, notes = checkpoint.sha256, checkpoint.notes
    model.eval().requires_grad_(False)
    classes = int(getattr(model, "num_classes", 0))
    return LoadedModel(model, sha256, input_of(model), classes, notes)


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and bytes of tensors in the order of their sorted names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _known(name: str) -> None:
    if ":" in name or timm.is_model(name):
        return
    close = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models()"
    raise ConfigError(f"timm has no model {name!r}: {hint}")


def _create(
    name: str, options: Mapping[str, Any], num_classes: int | None, pretrained: bool
) -> nn.Module:
    head = {} if num_classes is None else {"num_classes": num_classes}
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, **options, **head)
    except Exception as error:  # timm, its hub clients and constructors share no base class
        what = "download or build" if pretrained else "build"
        step = (
            "give model.weights a local .safetensors file, or check the network and model.options"
            if pretrained
            else "check model.options"
        )
        raise ConfigError(f"cannot {what} {name}: {first_line(error)}; {step}") from error
    return model


def _classes_in(state: State, name: str) -> int:
    """Return the rows of the classifier in a file, 0 if it has none."""
    layer = f"{_classifiers(name)[0]}.weight"
    # A trainer's module may hold the network under another name.
    found = [key for key in state if key == layer or key.endswith(f".{layer}")]
    return len(state[min(found, key=lambda key: key.count("."))]) if found else 0


def _classifiers(name: str) -> tuple[str, ...]:
    """Return the names of a model's classifying layers; distilled models have two."""
    found = getattr(timm.get_pretrained_cfg(name), "classifier", None) or "head"
    return (found,) if isinstance(found, str) else tuple(found)


def fill(model: nn.Module, checkpoint: Checkpoint, left_out: tuple[str, ...] = ()) -> Checkpoint:
    """Load a file's weights except the layers ``left_out``; return the weights that were loaded."""
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    checkpoint, path = checkpoint.fitted(wanted), checkpoint.path
    heads = tuple(f"{layer}." for layer in left_out)
    state = {key: value for key, value in checkpoint.state.items() if not key.startswith(heads)}
    if wanted != {key: tuple(tensor.shape) for key, tensor in state.items()}:
        # timm's own filter resamples position embeddings to another img_size and renames the
        # keys of the original releases.
        module = importlib.import_module(type(model).__module__)
        convert = getattr(module, "checkpoint_filter_fn", None)
        state = dict(convert(dict(state), model)) if convert is not None else state
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
    problems = [
        f"{label} {', '.join(sorted(keys)[:4])}{' …' if len(keys) > 4 else ''}"
        for label, keys in (
            ("missing", wanted.keys() - found.keys()),
            ("unexpected", found.keys() - wanted.keys()),
            ("of another shape", {k for k in wanted.keys() & found if wanted[k] != found[k]}),
        )
        if keys
    ]
    if problems:
        raise ConfigError(
            f"{path} does not fit the model: {'; '.join(problems)}; "
            "check model.name and model.options"
        )
    model.load_state_dict(state, strict=True)
    return checkpoint


def input_of(model: nn.Module) -> dict[str, Any]:
    """Return the evaluation transform of a timm model."""
    config = resolve_model_data_config(model)
    # An img_size among the options changes the model but not timm's configuration of it.
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    return {
        "size": [int(side) for side in (size or config["input_size"][-2:])],
        "mean": [float(value) for value in config["mean"]],
        "std": [float(value) for value in config["std"]],
        "interpolation": str(config["interpolation"]),
        "crop_pct": float(config["crop_pct"]),
        "crop_mode": str(config["crop_mode"]),
    }
