"""Per-image statistics of a flow and of pixels, batched on their device."""

from pipeline.measures.columns import columns, edges, layer_column
from pipeline.measures.pixels import PIXEL_COLUMNS, measure_pixels, perceptual_hash
from pipeline.measures.predictions import Predictions, predictions
from pipeline.measures.table import MeasurableFlow, measure

__all__ = [
    "PIXEL_COLUMNS",
    "MeasurableFlow",
    "Predictions",
    "columns",
    "edges",
    "layer_column",
    "measure",
    "measure_pixels",
    "perceptual_hash",
    "predictions",
]
