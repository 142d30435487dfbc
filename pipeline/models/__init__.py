"""Models: load them by timm name, name their classes, analyse their structure.

What needs torch is imported when it is first used: the names of classes need none.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.models.loading.factory import load_factory
    from pipeline.models.loading.half_weights import half_weights
    from pipeline.models.loading.load import LoadedModel, load_model
    from pipeline.models.loading.preconditions import check_images, check_ready, unwrapped
    from pipeline.models.loading.transforms import transformed
    from pipeline.models.outputs.class_head import with_outputs
    from pipeline.models.outputs.classes import class_names
    from pipeline.models.outputs.name_matching import (
        Matching,
        Vocabulary,
        number_in,
        order_is_clear,
    )
    from pipeline.models.outputs.output_names import Outputs, imagenet_outputs, own_outputs
    from pipeline.models.structure.anatomy import Anatomy, Layer, anatomy
    from pipeline.models.structure.embedding import EmbeddingRecorder, embed, recorded_embeddings
    from pipeline.models.structure.logits import check_logits
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "loading.factory": ("load_factory",),
            "loading.half_weights": ("half_weights",),
            "loading.load": (
                "LoadedModel",
                "load_model",
            ),
            "loading.preconditions": (
                "check_images",
                "check_ready",
                "unwrapped",
            ),
            "loading.transforms": ("transformed",),
            "outputs.class_head": ("with_outputs",),
            "outputs.classes": ("class_names",),
            "outputs.name_matching": (
                "Matching",
                "Vocabulary",
                "number_in",
                "order_is_clear",
            ),
            "outputs.output_names": (
                "Outputs",
                "imagenet_outputs",
                "own_outputs",
            ),
            "structure.anatomy": (
                "Anatomy",
                "Layer",
                "anatomy",
            ),
            "structure.embedding": (
                "EmbeddingRecorder",
                "embed",
                "recorded_embeddings",
            ),
            "structure.logits": ("check_logits",),
        },
    )

__all__ = [
    "Anatomy",
    "EmbeddingRecorder",
    "Layer",
    "LoadedModel",
    "Matching",
    "Outputs",
    "Vocabulary",
    "anatomy",
    "check_images",
    "check_logits",
    "check_ready",
    "class_names",
    "embed",
    "half_weights",
    "imagenet_outputs",
    "load_factory",
    "load_model",
    "number_in",
    "order_is_clear",
    "own_outputs",
    "recorded_embeddings",
    "transformed",
    "unwrapped",
    "with_outputs",
]
