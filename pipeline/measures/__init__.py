"""Per-image statistics of a flow and of pixels, batched on their device.

What needs torch is imported when first asked for: reading a run needs the columns only, and torch
alone takes half a gigabyte.
"""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports
from pipeline.measures.columns import PIXEL_COLUMNS, columns, edges, layer_column

if TYPE_CHECKING:
    from pipeline.measures.pixels import measure_pixels, perceptual_hash
    from pipeline.measures.prediction import Predictions, judged, predictions
    from pipeline.measures.table import MeasurableFlow, measure
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "pixels": ("measure_pixels", "perceptual_hash"),
            "prediction": ("Predictions", "judged", "predictions"),
            "table": ("MeasurableFlow", "measure"),
        },
    )

__all__ = [
    "PIXEL_COLUMNS",
    "MeasurableFlow",
    "Predictions",
    "columns",
    "edges",
    "judged",
    "layer_column",
    "measure",
    "measure_pixels",
    "perceptual_hash",
    "predictions",
]
