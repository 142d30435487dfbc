"""The meaning of a model's outputs: classes of a softmax, of sigmoids, or an embedding.

One sigmoid output z is two classes: with the logits (−z/2, z/2) their softmax is (σ(−z), σ(z)),
and the gradients of both are proportional to that of z, with opposite signs. An image embedding
gives classes by its similarity to their embeddings. Either is added to the model after its own
head, so that every method and statistic sees an ordinary classifier.
"""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.errors import ConfigError
from pipeline.models.loading.load import LoadedModel
from pipeline.models.outputs.class_embeddings import ClassEmbeddings, read_class_embeddings
from pipeline.models.structure.logits import logits_of
from pipeline.nouns import counted

Output = Literal["auto", "softmax", "sigmoid", "embedding"]

_PROJECTS = re.compile(r"clip|pe_core")
_FINE_TUNED = re.compile(r"(^|_)ft_")


class TwoClasses(nn.Module):
    """One sigmoid output (B, 1) → logits (B, 2) of the negative and the positive class."""

    def forward(self, logit: Tensor) -> Tensor:
        """Return (−z/2, z/2)."""
        return torch.cat([-logit, logit], dim=1) / 2


class Similarity(nn.Module):
    """Image embeddings (B, D) → logits (B, C): scale · cosine + bias."""

    def __init__(self, classes: ClassEmbeddings) -> None:
        super().__init__()
        embeddings = F.normalize(classes.embeddings, dim=1)
        self.register_buffer("embeddings", embeddings, persistent=False)
        self.scale, self.bias = classes.scale, classes.bias

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of image embeddings of any length."""
        embeddings: Tensor = self.embeddings  # type: ignore[assignment]
        return self.scale * F.linear(F.normalize(image, dim=1), embeddings) + self.bias


def with_outputs(
    loaded: LoadedModel, name: str, output: Output = "auto", class_embeddings: str | None = None
) -> LoadedModel:
    """Return a model whose outputs are logits of classes, or a model without classes.

    Parameters
    ----------
    loaded
        A loaded model; it is modified in place.
    name
        Its timm name.
    output
        ``softmax``: one class of K. ``sigmoid``: K independent outputs, or the two classes of a
        single one. ``embedding``: not classes, for example the projections of CLIP. ``auto``: two
        classes for one output, an embedding where timm knows outputs of this number as a
        projection or the model says so (open_clip's towers, ``image_embeds`` of transformers'),
        else a softmax.
    class_embeddings
        A file of class embeddings; see
        :func:`pipeline.models.outputs.class_embeddings.read_class_embeddings`.

    Raises
    ------
    ConfigError
        The model has no such outputs, or embeds images in another space.
    """
    if class_embeddings is not None:
        return _zero_shot(loaded, output, read_class_embeddings(Path(class_embeddings)))
    width = loaded.num_classes
    if output == "auto" and width > 1 and (loaded.embeds or _is_projection(name, width)):
        note = (
            f"the {counted(width, 'output')} of {name} are an image embedding (CLIP), not classes; "
            "model.class_embeddings names classes, model.output: softmax overrides"
        )
        return _embedding(replace(loaded, notes=(*loaded.notes, note)))
    if output == "embedding":
        return _embedding(loaded) if width else loaded
    if width == 1 and output == "softmax":
        raise ConfigError(
            f"model.output is softmax, but {name} has one output, whose softmax is always 1; "
            "use sigmoid"
        )
    if not width and output in ("softmax", "sigmoid"):
        raise ConfigError(f"model.output is {output}, but {name} has no classifier; use auto")
    if width == 1:
        note = "one output, read as a sigmoid: class 0 is negative, class 1 positive"
        model = _headed(loaded.model, TwoClasses(), embeds=False)
        return _changed(loaded, model, 2, (note,) if output == "auto" else ())
    return replace(loaded, independent=output == "sigmoid")


def _zero_shot(loaded: LoadedModel, output: Output, classes: ClassEmbeddings) -> LoadedModel:
    if output == "embedding":
        raise ConfigError("model.output: embedding has no classes; remove model.class_embeddings")
    width = loaded.num_classes or int(getattr(loaded.model, "num_features", 0))
    count, given = classes.embeddings.shape
    if loaded.num_classes and width != given:
        raise ConfigError(
            f"model.class_embeddings have {given} channels, the model's outputs {width}; "
            "use the text encoder of the same model"
        )
    model = _headed(loaded.model, Similarity(classes), embeds=True)
    config: Any = getattr(model, "pretrained_cfg", None)
    names = list(classes.classes) or None
    model.pretrained_cfg = {**(config or {}), "label_names": names, "tag": ""}  # type: ignore[assignment]
    note = f"no scale in model.class_embeddings: logits are {classes.scale:g} × cosine, as CLIP's"
    both = f"{loaded.weights_sha256} {classes.sha256}"
    identity = hashlib.sha256(both.encode()).hexdigest()
    changed = _changed(loaded, model, count, (note,) if classes.assumed else ())
    return replace(changed, weights_sha256=identity, independent=output == "sigmoid")


def _embedding(loaded: LoadedModel) -> LoadedModel:
    return _changed(loaded, _headed(loaded.model, nn.Identity(), embeds=True), 0, ())


def _changed(
    loaded: LoadedModel, model: nn.Module, classes: int, notes: tuple[str, ...]
) -> LoadedModel:
    model.num_classes = classes  # type: ignore[assignment]
    return replace(loaded, model=model, num_classes=classes, notes=(*loaded.notes, *notes))


def _is_projection(name: str, width: int) -> bool:
    """Return whether timm has weights of this architecture whose outputs are a projection."""
    architecture = name.rpartition(":")[2].partition(".")[0]
    for known in timm.list_pretrained(f"{architecture}.*"):
        if not _PROJECTS.search(known) or _FINE_TUNED.search(known.partition(".")[2]):
            continue
        config = timm.get_pretrained_cfg(known)
        if config is not None and config.num_classes == width:
            return True
    return False


def _headed(model: nn.Module, head: nn.Module, embeds: bool) -> nn.Module:
    """Append a head to a model's own; ``embeds`` if the model's output is an embedding.

    The model stays the same object, with the same modules and names; only its class is replaced by
    a subclass with one more step.
    """
    kind: Any = type(model)

    class Headed(kind):  # type: ignore[misc]
        if hasattr(kind, "forward_head"):

            def forward_head(self, x: Any, pre_logits: bool = False) -> Any:
                if pre_logits and not embeds:
                    return super().forward_head(x, pre_logits=True)
                output = super().forward_head(x)
                return output if pre_logits else self.class_head(output)

        else:

            def forward(self, x: Any) -> Any:
                return self.class_head(logits_of(super().forward(x), self))

    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(Headed, attribute, getattr(kind, attribute))
    model.class_head = head.train(model.training).requires_grad_(False)
    model.__class__ = Headed
    return model
