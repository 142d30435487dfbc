"""A model's embedding of an image: the vector that its classifier reads.

The one definition for stored features, memory banks and similarity methods: timm's
``forward_head(forward_features(images), pre_logits=True)``. It includes everything between the
model's last activations and its classifier (a norm, a projector); a model without a classifier
returns it as its output. ``pooled`` embeddings skip that neck.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.errors import UnsupportedModel

Kind = Literal["model", "pooled"]


def embed(model: nn.Module, images: Tensor, kind: Kind = "model") -> Tensor:
    """Return the embeddings of images (B, 3, H, W): (B, C) in the model's type, with a graph.

    ``kind`` is ``model`` for what the classifier reads, ``pooled`` for :func:`pooled`.

    Raises
    ------
    UnsupportedModel
        The model does not have timm's interface, forward_features and forward_head.
    """
    _require_head(model)
    features = model.forward_features(images)  # type: ignore[operator]
    if kind == "pooled":
        return pooled(model, features)
    return through_head(model, features, pre_logits=True)


def through_head(model: nn.Module, features: Any, **options: Any) -> Tensor:
    """Return what ``forward_head`` makes of a model's last activations.

    Raises
    ------
    UnsupportedModel
        The model has that method only in name, as encoders of multimodal models have.
    """
    try:
        return model.forward_head(features, **options)  # type: ignore[operator, no-any-return]
    except NotImplementedError as error:
        raise UnsupportedModel(
            f"{type(model).__name__} has no head that gives one vector per image, so it has "
            "neither an embedding nor logits; use a model with a head"
        ) from error


def pooled(model: nn.Module, features: Tensor) -> Tensor:
    """Return the mean over the image of a model's last activations, (B, C): no neck, no projector.

    ``features`` is what ``forward_features`` returns: a feature map, or tokens, of which class
    token and registers are left out.

    Raises
    ------
    UnsupportedModel
        They are neither.
    """
    if isinstance(features, Tensor) and features.ndim == 4:
        return features.mean((1, 2) if channels_last(model) else (2, 3))
    if isinstance(features, Tensor) and features.ndim == 3:
        prefix = int(getattr(model, "num_prefix_tokens", 0))
        return features[:, prefix:].mean(1)
    raise UnsupportedModel(
        f"{type(model).__name__} has no single map of last activations; use flow.embedding: model"
    )


def channels_last(model: nn.Module) -> bool:
    """Return whether a model's feature map is (B, h, w, C) instead of (B, C, h, w)."""
    return str(getattr(model, "output_fmt", "NCHW")) == "NHWC"


class EmbeddingRecorder(threading.local):
    """Holds ``last``, the embeddings (B, C) float32 of this thread's last pass of the model."""

    _last: Tensor | None = None

    @property
    def last(self) -> Tensor:
        """Embeddings of the last pass; UnsupportedModel if the pass did not use the head."""
        if self._last is None:
            raise UnsupportedModel(
                "the method ran the model without its forward_head, so there is no embedding to "
                "store; use flow.features: false"
            )
        return self._last

    def note(self, embedding: Tensor) -> None:
        """Remember the embeddings of a pass."""
        self._last = embedding.detach().float()


@contextmanager
def recorded_embeddings(model: nn.Module, kind: Kind = "model") -> Iterator[EmbeddingRecorder]:
    """Record the embeddings of every forward pass, at the cost of a second pooling.

    Raises
    ------
    UnsupportedModel
        See :func:`embed`.
    """
    _require_head(model)
    recorder, head = EmbeddingRecorder(), model.forward_head

    def forward_head(features: Any, *args: Any, **options: Any) -> Any:
        with torch.no_grad():
            recorder.note(
                pooled(model, features) if kind == "pooled" else head(features, pre_logits=True)  # type: ignore[operator]
            )
        return head(features, *args, **options)  # type: ignore[operator]

    model.forward_head = forward_head  # type: ignore[assignment]
    try:
        yield recorder
    finally:
        del model.forward_head


def _require_head(model: nn.Module) -> None:
    if not hasattr(model, "forward_head") or not hasattr(model, "forward_features"):
        raise UnsupportedModel(
            f"{type(model).__name__} has no forward_features and forward_head, so it is not known "
            "what its classifier reads; use a timm model"
        )
