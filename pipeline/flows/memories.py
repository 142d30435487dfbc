"""Key–value memory pairs of a transformer's MLPs that agree with classes; no images are needed.

An MLP adds Σ_k m_k(x)·v_k to a token: m_k is what its first layer answers to the token (the key),
and v_k, column k of its last linear layer, is a value (Geva et al. 2021, arXiv 2012.14913). Vilas
et al. 2023 (arXiv 2310.18969, section 4.2) read values in the space of the classes: the linear part
of the final norm and the classifier turn v_k into a score of every class.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models import anatomy

_INSTEAD = "use a model of timm's vit, deit or eva families that classifies a token or their mean"


@dataclass(frozen=True)
class Memories:
    """One layer's values in the space of C classes.

    Attributes
    ----------
    layer
        The block's name.
    values
        How many values the layer has, K.
    best
        (C,) the value in which each class stands out most.
    strength
        (C,) by how much it does there: standard deviations above the mean of all classes.
    rank
        (C,) how many classes score higher in that value; 0 if it is the class's own.
    matched
        (C,) whether the class has the highest score of all classes in any value.
    """

    layer: str
    values: int
    best: Tensor
    strength: Tensor
    rank: Tensor
    matched: Tensor

    @property
    def share(self) -> float:
        """The share of classes that are matched."""
        return float(self.matched.double().mean())

    @property
    def chance(self) -> float:
        """The share that would be if each value had any class with the same probability."""
        classes = len(self.matched)
        return 1 - (1 - 1 / classes) ** self.values


@torch.no_grad()
def memory_pairs(model: nn.Module) -> tuple[Memories, ...]:
    """Return the memories of every block's MLP.

    Raises
    ------
    UnsupportedModel
        The model is not a timm transformer of one resolution whose classifier is one linear layer
        behind a norm, or a block has no MLP that ends in a linear layer.
    """
    found = anatomy(model)
    if found.readout not in ("token", "patches"):
        raise UnsupportedModel(
            f"{found.name} does not classify a token or a mean of tokens, so values have no score "
            f"of a class; {_INSTEAD}"
        )
    head = _classes(model, found.name)
    return tuple(
        _memories(f"blocks.{number}", value_scores(head, _values(block, found.name)))
        for number, block in enumerate(model.blocks)  # type: ignore[arg-type]
    )


def value_scores(head: Tensor, values: Tensor) -> Tensor:
    """Return the score (C, K) of every class in values (D, K): ``head`` (C, D) times them."""
    return head @ values


def _classes(model: nn.Module, name: str) -> Tensor:
    """Return the classifier behind the linear part of the final norm, (C, D) float64."""
    head = getattr(model, "head", None)
    if not isinstance(head, nn.Linear) or getattr(model, "head_dist", None) is not None:
        raise UnsupportedModel(f"{name} has no single linear classifier; {_INSTEAD}")
    weight = head.weight.double()
    for part in ("fc_norm", "norm"):  # in the order in which a vector meets them, from behind
        norm = getattr(model, part, None)
        if norm is None or isinstance(norm, nn.Identity):
            continue
        if getattr(norm, "weight", None) is not None:
            weight = weight * norm.weight.double()
        if isinstance(norm, nn.LayerNorm):  # x − mean(x), read from the side of the classifier
            weight = weight - weight.mean(dim=1, keepdim=True)
        elif "RmsNorm" not in type(norm).__name__ and not isinstance(norm, nn.RMSNorm):
            raise UnsupportedModel(
                f"the final norm of {name}, {type(norm).__name__}, has no known linear part; "
                f"{_INSTEAD}"
            )
    return weight


def _values(block: nn.Module, name: str) -> Tensor:
    """Return a block's values (D, K) as they are added to a token, float64."""
    mlp = getattr(block, "mlp", None)
    last = getattr(mlp, "fc2", None) or getattr(mlp, "w3", None)
    if not isinstance(last, nn.Linear):
        raise UnsupportedModel(
            f"{name} has a block without an MLP that ends in a linear layer; {_INSTEAD}"
        )
    values = last.weight.double()
    for scale in (
        getattr(getattr(block, "ls2", None), "gamma", None),
        getattr(block, "gamma_2", None),
    ):
        if isinstance(scale, Tensor):
            values = values * scale.double()[:, None]
    return values


def _memories(layer: str, scores: Tensor) -> Memories:
    """Return what a layer's scores (C, K) say of every class."""
    classes = scores.shape[0]
    spread = scores.std(dim=0, unbiased=False).clamp(min=torch.finfo(scores.dtype).tiny)
    apart = (scores - scores.mean(dim=0)) / spread
    strength, best = apart.max(dim=1)
    rank = (scores[:, best] > scores[torch.arange(classes), best]).sum(dim=0)
    matched = torch.zeros(classes, dtype=torch.bool)
    matched[scores.argmax(dim=0)] = True
    return Memories(layer, scores.shape[1], best, strength, rank, matched)
