"""Per-image statistics of a flow, batched on its device: mass, shape, place, depth, boxes."""

from pipeline.measures.columns import columns, edges, layer_column
from pipeline.measures.predictions import Predictions, predictions
from pipeline.measures.table import MeasurableFlow, measure

__all__ = [
    "MeasurableFlow",
    "Predictions",
    "columns",
    "edges",
    "layer_column",
    "measure",
    "predictions",
]
