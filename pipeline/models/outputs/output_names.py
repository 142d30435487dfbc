"""``Outputs``: how many outputs a model has, and all names of each of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

IMAGENET_1K = "imagenet-1k"

_LONGEST = 40

_IMAGENET_TAG = re.compile(r"(^|_)in(1|12|21|22)k(_|$)")
"""Tags of timm's weights name what they were trained on last, as in ``augreg_in21k_ft_in1k``."""


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model.

    Attributes
    ----------
    owner : str
        What has these outputs, for messages.
    count : int
        0 for a model without a classifier, whose classes are those of the dataset.
    names : tuple of str or None
        One for each output; synonyms are separated by commas, as in ImageNet's
        ``tench, Tinca tinca``. None if they have no names.
    identifiers : tuple of str
        Their WordNet identifiers (``n01440764``) where they have some, else empty.
    """

    owner: str
    count: int
    names: tuple[str, ...] | None = None
    identifiers: tuple[str, ...] = ()

    def aliases(self, index: int) -> tuple[str, ...]:
        """Return all names of an output: its full name, its synonyms, its identifier."""
        name = self.name(index)
        parts = [part.strip() for part in name.split(",")]
        return tuple(dict.fromkeys(filter(None, [name, *parts, *self.identifiers[index:][:1]])))

    def name(self, index: int) -> str:
        """Return an output's full name; empty if it has none."""
        return "" if self.names is None else self.names[index]

    def described(self, index: int) -> str:
        """Return ``output 401 'accordion, piano accordion, squeeze box'``."""
        name = self.name(index)
        if len(name) > _LONGEST:
            name = name[:_LONGEST] + "…"
        return f"output {index} {name!r}" if name else f"output {index}"

    def explained(self, index: int) -> str:
        """Return an output's name, with WordNet's definition where that is known."""
        identifier = self.identifiers[index] if index < len(self.identifiers) else ""
        try:
            known = _imagenet(IMAGENET_1K).label_name_to_description(identifier, detailed=True)
        except KeyError:
            return self.name(index)
        return f"{known} ({identifier})"


def own_outputs(model: "nn.Module", owner: str, count: int) -> Outputs:
    """Return the outputs of a timm model, named by its weights' configuration.

    That is ``label_names`` where the configuration has one for each output, else ImageNet's names
    for a model whose weights are tagged as trained on ImageNet and that has as many outputs. The
    outputs of a model with another number of them have no names.
    """
    found: Any = getattr(model, "pretrained_cfg", None)
    config: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    labels = config.get("label_names")
    if isinstance(labels, list | tuple) and len(labels) == count:
        described = config.get("label_descriptions") or {}
        names = tuple(str(described.get(label, label)) for label in labels)
        return Outputs(owner, count, names, tuple(map(str, labels)))
    tag = _IMAGENET_TAG.search(str(config.get("tag") or ""))
    subset = _subset(count) if tag else None
    return Outputs(owner, count) if subset is None else imagenet_outputs(owner, count, subset)


def imagenet_outputs(owner: str, count: int, subset: str = IMAGENET_1K) -> Outputs:
    """Return outputs with ImageNet's names, in the order of timm's subset of it."""
    info = _imagenet(subset)
    names = tuple(map(str, info.label_descriptions()))
    return Outputs(owner, count, names, tuple(map(str, info.label_names())))


def _subset(count: int) -> str | None:
    from timm.data import infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": count})
    return subset if subset is None else str(subset)


@cache
def _imagenet(subset: str) -> Any:
    from timm.data import ImageNetInfo

    return ImageNetInfo(subset)
