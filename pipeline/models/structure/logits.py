"""The logits in a model's output: one number per image and class, or a refusal."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.tape import recording

_WRAP = "wrap it in a module whose forward returns logits (B, K)"
_SHAPES = {
    1: "one number per image without a dimension for classes; return (B, 1)",
    3: "logits of every token; give model.options a global_pool (token or avg), or pool them",
    4: "logits of every pixel; methods explain one class per image: use a classifier, or pool them",
}
_NAMED = ("logits", "image_embeds")
_PROBABILITIES = ("softmax", "sigmoid")


def logits_of(output: Any, model: nn.Module) -> Tensor:
    """Return the logits (B, K) in what ``model`` returned for B images.

    Of a mapping or an object with ``logits``, as Hugging Face's transformers return it, those.

    Raises
    ------
    UnsupportedModel
        There are none, or the output is not one number per image and class.
    """
    found, name = tensor_of(output, model), type(model).__name__
    if found.ndim != 2:
        shape = "(" + ", ".join(["B", *map(str, found.shape[1:])]) + ("," * (found.ndim == 1)) + ")"
        what = _SHAPES.get(found.ndim, f"not (B, K); {_WRAP}")
        raise UnsupportedModel(f"{name} returns {shape}: {what}")
    if not found.is_floating_point():
        raise UnsupportedModel(f"{name} returns {found.dtype}, not logits; {_WRAP}")
    return found


def tensor_of(output: Any, model: nn.Module) -> Tensor:
    """Return the one tensor that a model returned, or the one named ``logits``.

    A tower of transformers that names none has an image embedding, ``image_embeds``.

    Raises
    ------
    UnsupportedModel
        There are several, or none.
    """
    named = [_field(output, name) for name in _NAMED]
    found = next((value for value in named if isinstance(value, Tensor)), output)
    if not isinstance(found, Tensor):
        raise UnsupportedModel(f"{type(model).__name__} returns {_described(output)}; {_WRAP}")
    return found


def is_embedding(output: Any) -> bool:
    """Return whether what a model returned names its outputs an image embedding, and no logits."""
    logits, embedding = (isinstance(_field(output, name), Tensor) for name in _NAMED)
    return embedding and not logits


def _field(output: Any, name: str) -> Any:
    if isinstance(output, Tensor):
        return None
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)


def gradients_of(score: Tensor, points: Sequence[Tensor], model: nn.Module) -> tuple[Tensor, ...]:
    """Return ∂score/∂point of every point on the path from the image to the score.

    Raises
    ------
    UnsupportedModel
        A point has no gradient, though the score is computed from it: the model cuts the graph.
    """
    found: Sequence[Tensor | None] = [None]
    if score.requires_grad:
        found = torch.autograd.grad(score, list(points), allow_unused=True)
    gradients = tuple(gradient for gradient in found if gradient is not None)
    if len(gradients) != len(points):
        raise UnsupportedModel(
            f"{type(model).__name__} cuts the gradient between image and logits (detach, or "
            "torch.no_grad in its forward); remove that, or use flow.method: activation"
        )
    return gradients


@torch.no_grad()
def check_logits(model: nn.Module, images: Tensor) -> None:
    """Run a model on images (B, 3, H, W) once and refuse an output that is not logits (B, K).

    The output of a softmax or a sigmoid is a probability: taken as a logit its confidence would be
    silently wrong, and its gradient vanishes where the model is confident.

    Raises
    ------
    UnsupportedModel
        See :func:`logits_of`; or the last operation makes probabilities.
    """
    with recording(model, images) as ops:
        output = model(images)
    logits = logits_of(output, model)
    by_output = {id(tensor): op for op in ops for tensor in op.outputs}
    op = by_output.get(id(logits))
    # Squeezing and slicing after it do not change the meaning of the numbers.
    while op is not None and op.kind in ("squeeze", "flatten", "reshape", "view", "getitem"):
        op = by_output.get(id(op.inputs[0]))
    if op is not None and op.kind in _PROBABILITIES:
        raise UnsupportedModel(
            f"{type(model).__name__} returns probabilities: its last operation is {op.kind}; "
            "remove that, because methods explain logits"
        )


def _described(output: Any) -> str:
    if isinstance(output, Mapping):
        return f"a dictionary of {', '.join(map(str, list(output)[:4])) or 'nothing'}"
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {len(output)}"
    return f"a {type(output).__name__}"
