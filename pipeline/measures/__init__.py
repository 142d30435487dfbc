"""Per-image statistics of a flow and of pixels, batched on their device.

What needs torch is imported when first asked for: reading a run needs the columns only, and torch
alone takes half a gigabyte.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from pipeline.measures.columns import columns, edges, layer_column

if TYPE_CHECKING:
    from pipeline.measures.pixels import PIXEL_COLUMNS, measure_pixels, perceptual_hash
    from pipeline.measures.prediction import Predictions, predictions
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

_ROOMS = {
    "PIXEL_COLUMNS": "pixels",
    "measure_pixels": "pixels",
    "perceptual_hash": "pixels",
    "Predictions": "prediction",
    "predictions": "prediction",
    "MeasurableFlow": "table",
    "measure": "table",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
