"""Models: load them by timm name, name their classes, know their anatomy."""

from pipeline.models.anatomy import Anatomy, Layer, anatomy
from pipeline.models.class_head import with_outputs
from pipeline.models.classes import class_names
from pipeline.models.embedding import EmbeddingRecorder, embed, recorded_embeddings
from pipeline.models.factory import load_factory
from pipeline.models.load import LoadedModel, load_model
from pipeline.models.logits import check_logits
from pipeline.models.preconditions import check_images, check_ready, unwrapped
from pipeline.models.transforms import transformed

__all__ = [
    "Anatomy",
    "EmbeddingRecorder",
    "Layer",
    "LoadedModel",
    "anatomy",
    "check_images",
    "check_logits",
    "check_ready",
    "class_names",
    "embed",
    "load_factory",
    "load_model",
    "recorded_embeddings",
    "transformed",
    "unwrapped",
    "with_outputs",
]
