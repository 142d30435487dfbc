"""``LayerMethod``: the base of methods on the layers of any network."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel
from pipeline.flows.flow import Flow, check_targets
from pipeline.flows.resample import on_one_grid, rows_and_columns
from pipeline.flows.session import Session, warn_left_out
from pipeline.models.structure.logits import gradients_of, logits_of
from pipeline.models.structure.tape import working
from pipeline.models.structure.tokens import Tokens, has_tokens, read_tokens
from pipeline.models.structure.trunk import Layout, Trunk, check_replay, read_trunk


@dataclass(frozen=True)
class Answer:
    """What is explained: ``score``, a sum over images; ``logits`` (B, K), ``target`` (B,)."""

    score: Tensor
    logits: Tensor
    target: Tensor


@dataclass(frozen=True)
class Observation:
    """L layers of a pass of B images: their activations and the gradients of the score.

    ``activations`` and ``gradients`` are (B, C, h, w) each, float32 (of a float64 model float64).
    """

    layers: tuple[str, ...]
    activations: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]
    answer: Answer


Pass = Tokens | Trunk
Question = Callable[[Pass], Answer]


Explain = TypeVar("Explain", bound=Callable[..., Flow])


def as_a_pair(explain: Explain) -> Explain:
    """Decorate a method to explain a single image as a batch of two copies of it.

    The strides of a batch of one match two memory formats. After a convolution, a smooth activation
    and a batch norm, torch may confuse them in the backward pass on a CPU, and the gradient is
    silently wrong (observed with torch 2.15).
    """

    @wraps(explain)
    def explained(method: Any, images: Tensor, *given: Tensor | None, **named: Any) -> Flow:
        batched = [*given, *named.values()]
        if len(images) != 1 or any(tensor is not None and len(tensor) != 1 for tensor in batched):
            return explain(method, images, *given, **named)

        def twice(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else torch.cat([tensor, tensor])

        copies = {name: twice(tensor) for name, tensor in named.items()}
        return explain(method, twice(images), *map(twice, given), **copies).first(1)

    return cast("Explain", explained)


class LayerMethod(Session):
    """A context on a network: parameters frozen, its passes observed.

    Parameters
    ----------
    model
        A network in evaluation mode.
    grid
        Rows and columns of the maps; by default one cell for every 16 × 16 pixels where layers
        differ in size, and their own grid where they do not.
    """

    def __init__(self, model: nn.Module, grid: Sequence[int] | None = None) -> None:
        super().__init__(model)
        self._grid = rows_and_columns(grid)
        self._layouts: dict[torch.Size, Layout] = {}

    def observe(self, images: Tensor, question: Question) -> Observation:
        """Run the model and differentiate the explained score with respect to its layers.

        Layers of a convolutional network are those of
        :func:`pipeline.models.structure.trunk.read_trunk`, of a transformer of one resolution those
        of :func:`pipeline.models.structure.tokens.read_tokens`.

        Raises
        ------
        ValueError
            Targets that are not classes of the model, or a method used outside its context.
        UnsupportedModel
            The network has neither, computes something other than torch functions of the image, or
            its tokens do not lie on the image.
        """
        with self.passing(images) as pixels:
            seen: Pass = self.tokens(pixels) if has_tokens(self._model) else self.trunk(pixels)
            answer = question(seen)
            gradients = gradients_of(answer.score, seen.points, self._model)
        return Observation(
            layers=seen.layers,
            activations=seen.as_maps([working(point) for point in seen.points]),
            gradients=seen.as_maps([working(gradient) for gradient in gradients]),
            answer=answer,
        )

    def predicted(self, targets: Tensor | None) -> Question:
        """Return the question for the logits of targets (B,), of the predicted classes if None."""
        if getattr(self._model, "num_classes", 1) < 1:
            raise UnsupportedModel(
                f"{type(self._model).__name__} has no classifier, so it has no logit to explain; "
                "load weights with a head, or give references: naflow, fam"
            )
        return lambda seen: answer_of(logits_of(seen.logits, self._model), targets)

    @contextmanager
    def passing(self, images: Tensor) -> Iterator[Tensor]:
        """Yield images on which a graph is built, whatever the caller's gradient mode."""
        self.require_open(images)
        # An inference-mode caller would otherwise get tensors that no graph can hold.
        with torch.inference_mode(False), torch.enable_grad():
            yield (images.clone() if images.is_inference() else images.detach()).requires_grad_()

    def trunk(self, images: Tensor) -> Trunk:
        """Read the trunk of a batch.

        The first batch of a size also determines how the layers lie on the image, and verifies that
        the tape is complete.
        """
        layout = self._layouts.get(images.shape[-2:])
        if layout is not None:
            return read_trunk(self._model, images, layout)
        trunk = read_trunk(self._model, images)
        check_replay(self._model, trunk)
        warn_left_out(self._model, trunk.layout.left_out)
        self._layouts[images.shape[-2:]] = trunk.layout
        return trunk

    def tokens(self, images: Tensor) -> Tokens:
        """Read the tokens of a batch; the first one of a size also verifies their layout."""

        def read(points: Tensor) -> tuple[Tensor, ...]:
            tokens = read_tokens(self._model, points)
            return tokens.as_maps(tokens.points)

        if not all(self.lying(images, read)):
            raise UnsupportedModel(
                f"the tokens of {type(self._model).__name__} do not lie on the image row by row, "
                "so no map can be made of them; use input_gradient"
            )
        return read_tokens(self._model, images)

    def flow(
        self,
        native: Sequence[Tensor],
        seen: Observation,
        size: torch.Size,
        extras: dict[str, Tensor] | None = None,
    ) -> Flow:
        """Return the flow of layers' own maps (B, h_l, w_l) of images of ``size`` (H, W)."""
        maps, own = on_one_grid(native, size, self._grid)
        return Flow(
            maps=maps,
            layers=seen.layers,
            logits=seen.answer.logits,
            target=seen.answer.target,
            extras=extras or {},
            native=own,
        )


def answer_of(logits: Tensor, targets: Tensor | None) -> Answer:
    """Explain the logits (B, K) of targets (B,), of the predicted classes if None."""
    check_targets(targets, len(logits), logits.shape[1])
    target = (logits.argmax(dim=1) if targets is None else targets.to(logits.device)).long()
    score = logits.gather(1, target[:, None]).sum()
    return Answer(score, logits.detach().float(), target)
