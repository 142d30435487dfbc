"""Models: load them by timm name, name their classes, analyse their structure."""

from pipeline.models.loading.factory import load_factory
from pipeline.models.loading.load import LoadedModel, load_model
from pipeline.models.loading.preconditions import check_images, check_ready, unwrapped
from pipeline.models.loading.transforms import transformed
from pipeline.models.outputs.class_head import with_outputs
from pipeline.models.outputs.classes import class_names
from pipeline.models.outputs.name_matching import Matching, Vocabulary, number_in, order_is_clear
from pipeline.models.outputs.output_names import Outputs, imagenet_outputs, own_outputs
from pipeline.models.structure.anatomy import Anatomy, Layer, anatomy
from pipeline.models.structure.embedding import EmbeddingRecorder, embed, recorded_embeddings
from pipeline.models.structure.logits import check_logits

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
