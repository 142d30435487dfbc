"""Embeddings of classes, with which a model that embeds images classifies them (zero-shot)."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipeline.errors import ConfigError
from pipeline.nouns import counted

_SCALE = 100.0


@dataclass(frozen=True)
class ClassEmbeddings:
    """``embeddings`` (C, D) float32 of C classes, and how similarities become logits.

    logits = ``scale`` · cosine + ``bias``. ``classes`` are the classes' names, empty if the file
    has none; ``assumed`` is True if the file gives no scale.
    """

    embeddings: Tensor
    scale: float
    bias: float
    classes: tuple[str, ...]
    sha256: str
    assumed: bool


def read_class_embeddings(path: Path) -> ClassEmbeddings:
    """Read class embeddings, for instance of prompts, from a safetensors or npy file.

    Parameters
    ----------
    path
        ``.npy``: (C, D) floats. ``.safetensors``: ``embeddings`` (C, D), and where they are known
        ``scale`` and ``bias``, or ``logit_scale`` (the natural logarithm, as CLIP's and SigLIP's
        weights hold it) and ``logit_bias``; the metadata may have ``classes``, a JSON list of
        names. The default scale is CLIP's, 100.

    Raises
    ------
    ConfigError
        The file cannot be read, or holds something else.
    """
    where = f"model.class_embeddings: {path}"
    if not path.is_file():
        raise ConfigError(f"model.class_embeddings: there is no file {path}")
    tensors: dict[str, Tensor] = {}
    classes: object = []
    try:
        if path.suffix == ".npy":
            tensors["embeddings"] = torch.from_numpy(np.load(path, allow_pickle=False))
        else:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                classes = json.loads((file.metadata() or {}).get("classes", "[]"))
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{where} is neither .npy nor .safetensors ({error})") from error
    if not isinstance(classes, list):
        raise ConfigError(f"{where}: classes must be a JSON list of names")
    found = tensors.get("embeddings")
    if found is None or found.ndim != 2 or not found.is_floating_point() or len(found) < 2:
        raise ConfigError(
            f"{where} must hold a float tensor embeddings (C, D) of at least two classes"
        )
    if classes and len(classes) != len(found):
        raise ConfigError(
            f"{where} has {counted(len(found), 'embedding')} but names "
            f"{counted(len(classes), 'class')}"
        )
    if not found.isfinite().all() or not found.float().norm(dim=1).all():
        raise ConfigError(f"{where} holds embeddings that are zero or not finite")
    scale, bias = _number(tensors, "scale", where), _number(tensors, "bias", where)
    if scale is not None and scale <= 0:
        raise ConfigError(f"{where}: scale is {scale:g}; it must be positive")
    return ClassEmbeddings(
        found.float(),
        _SCALE if scale is None else scale,
        bias or 0.0,
        tuple(map(str, classes)),
        hashlib.sha256(path.read_bytes()).hexdigest(),
        assumed=scale is None,
    )


def _number(tensors: dict[str, Tensor], name: str, where: str) -> float | None:
    found = {key: tensors[key] for key in (name, f"logit_{name}") if key in tensors}
    if len(found) > 1 or any(tensor.numel() != 1 for tensor in found.values()):
        raise ConfigError(f"{where} must hold one number as {name} or logit_{name}, not both")
    for key, tensor in found.items():
        value = float(tensor)
        return math.exp(value) if key == "logit_scale" else value
    return None
