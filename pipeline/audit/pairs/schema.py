"""The table of explained pairs: its columns, and a row of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.images import Reason

if TYPE_CHECKING:
    from pipeline.flows.pair_attribution import PairFlow

FOLDER = "audit/pairs"

_CELLS = pa.list_(pa.float32())
_PLACES = pa.list_(pa.int32())

PAIRS_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.int64(), nullable=False),
        pa.field("query", pa.int64(), nullable=False),
        pa.field("gallery", pa.int64(), nullable=False),
        pa.field("query_uri", pa.string(), nullable=False),
        pa.field("gallery_uri", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("query_reference", pa.float64()),
        pa.field("gallery_reference", pa.float64()),
        pa.field("references", pa.float64()),
        pa.field("attributed", pa.float64()),
        pa.field("patches", pa.float64()),
        pa.field("positive", pa.float64()),
        pa.field("error", pa.float64()),
        pa.field("complete", pa.bool_()),
        pa.field("steps", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("query_map", _CELLS),
        pa.field("gallery_map", _CELLS),
        pa.field("query_patches", _PLACES),
        pa.field("gallery_patches", _PLACES),
        pa.field("values", _CELLS),
        pa.field("shares", _CELLS),
    ],
    metadata={},
)
"""A row for every pair, in the order of the table that was given.

``query`` and ``gallery`` are rows of the run. ``reason`` says why a pair is not explained
(:class:`pipeline.images.Reason`); all that follows is then null. ``similarity``, ``*_reference``,
``references``, ``attributed`` (Σ A), ``error`` and ``steps`` are those of
:class:`pipeline.flows.pair_attribution.PairFlow`; ``patches`` is the part of Σ A between patches
alone, ``positive`` the sum of the positive A_ij among them. ``complete``: the error is tolerable.
Maps have a value for every patch, row by row, of a grid of ``height`` by ``width``.
``query_patches`` and ``gallery_patches`` are the numbers of the strongest pairs of patches, with
their A_ij as ``values`` and these divided by ``positive`` as ``shares``.
"""


def explained_row(
    place: Mapping[str, Any], found: "PairFlow", strongest: int, tolerance: float
) -> dict[str, Any]:
    """Return the row of an explained pair; ``place`` has its number, rows and URIs."""
    query, gallery, values = found.strongest(strongest)
    positive = float(found.patches.clamp(min=0).sum())
    height, width = found.places.grid
    return {
        **place,
        "reason": None,
        "similarity": found.similarity,
        "query_reference": found.query_reference,
        "gallery_reference": found.gallery_reference,
        "references": found.references,
        "attributed": found.attributed,
        "patches": float(found.patches.sum()),
        "positive": positive,
        "error": found.error,
        "complete": found.error <= tolerance,
        "steps": found.steps,
        "height": height,
        "width": width,
        "query_map": found.query_map.flatten().tolist(),
        "gallery_map": found.gallery_map.flatten().tolist(),
        "query_patches": query.tolist(),
        "gallery_patches": gallery.tolist(),
        "values": values.tolist(),
        "shares": (values / positive).tolist(),
    }


def unexplained_row(place: Mapping[str, Any], reason: Reason) -> dict[str, Any]:
    """Return the row of a pair of which an image cannot be used."""
    return {**dict.fromkeys(PAIRS_SCHEMA.names), **place, "reason": str(reason)}
