"""Models: load them by timm name, name their classes, know their anatomy."""

from pipeline.models.anatomy import Anatomy, Layer, anatomy
from pipeline.models.class_head import with_outputs
from pipeline.models.classes import class_names
from pipeline.models.embedding import EmbeddingRecorder, embed, recorded_embeddings
from pipeline.models.factory import load_factory
from pipeline.models.load import LoadedModel, load_model
from pipeline.models.logits import check_logits
from pipeline.models.name_matching import Matching, Vocabulary, number_in, order_is_clear
from pipeline.models.outputs import Outputs, imagenet_outputs, own_outputs
from pipeline.models.preconditions import check_images, check_ready, unwrapped
from pipeline.models.transforms import transformed

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
