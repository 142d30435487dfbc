"""Where images come from: sources, their index, bytes to pixels, pixels to the model's input."""

from typing import TYPE_CHECKING

from pipeline.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from pipeline.images.decoding.decode import decode
    from pipeline.images.index import BOXES_SCHEMA, INDEX_SCHEMA, PART_ROWS, Index, build_index
    from pipeline.images.load import Crop, ImageReader, Place
    from pipeline.images.pairs import Pairs
    from pipeline.images.reasons import Reason
    from pipeline.images.sources.kind import open_source
    from pipeline.images.sources.labels import NamesNeeded, labels_json
    from pipeline.images.sources.leftovers import Leftover
    from pipeline.images.sources.source import Entry, Source
    from pipeline.images.transform import InputTransform, crop_alike
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "decoding.decode": ("decode",),
            "index": ("BOXES_SCHEMA", "INDEX_SCHEMA", "PART_ROWS", "Index", "build_index"),
            "load": ("Crop", "ImageReader", "Place"),
            "pairs": ("Pairs",),
            "reasons": ("Reason",),
            "sources.kind": ("open_source",),
            "sources.labels": ("NamesNeeded", "labels_json"),
            "sources.leftovers": ("Leftover",),
            "sources.source": ("Entry", "Source"),
            "transform": ("InputTransform", "crop_alike"),
        },
    )

__all__ = [
    "BOXES_SCHEMA",
    "INDEX_SCHEMA",
    "PART_ROWS",
    "Crop",
    "Entry",
    "ImageReader",
    "Index",
    "InputTransform",
    "Leftover",
    "NamesNeeded",
    "Pairs",
    "Place",
    "Reason",
    "Source",
    "build_index",
    "crop_alike",
    "decode",
    "labels_json",
    "open_source",
]
