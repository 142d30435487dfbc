"""Where images come from: sources, their index, bytes to pixels, pixels to the model's input."""

from pipeline.images.decoding.decode import REASONS, Decoded, decode
from pipeline.images.decoding.formats import Unusable
from pipeline.images.fetch import Fetcher
from pipeline.images.index import BOXES_SCHEMA, INDEX_SCHEMA, PART_ROWS, Index, build_index
from pipeline.images.sources.kind import open_source
from pipeline.images.sources.leftovers import Leftover
from pipeline.images.sources.source import Entry, Source
from pipeline.images.transform import InputTransform

__all__ = [
    "BOXES_SCHEMA",
    "INDEX_SCHEMA",
    "PART_ROWS",
    "REASONS",
    "Decoded",
    "Entry",
    "Fetcher",
    "Index",
    "InputTransform",
    "Leftover",
    "Source",
    "Unusable",
    "build_index",
    "decode",
    "open_source",
]
