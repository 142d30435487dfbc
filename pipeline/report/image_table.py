"""All images of a run for the page that filters them: columns and chunks that a script loads.

A page that is opened from disk may load scripts but not read files, so data are calls of functions.
Columns lie whole in a file each and are loaded when they are needed; file names and small flows lie
in chunks of rows, of which a page of the table needs one.
"""

import base64
import json
import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.audit.text.names import short_names
from pipeline.files.urls import is_url
from pipeline.progress import Progress
from pipeline.store import Run

FOLDER = "report/data/images"
CHUNK = 10_000
"""Rows in a chunk."""
_FIRST = ("label", "pred", "confidence", "status")
_MEASURES = (
    "mass_flow",
    "centre_flow",
    "border_flow",
    "entropy_flow",
    "area90_flow",
    "convergence_depth",
    "box_energy_flow",
    "brightness",
    "sharpness",
)


def count_files(run: Run) -> int:
    """Return how many files the table of a run has."""
    return len(_columns(run)) + -(-run.spec.rows // CHUNK) + 1


def write_image_table(run: Run, atlas: Atlas, progress: Progress | None = None) -> tuple[str, ...]:
    """Write the columns and chunks of all images; return the paths, relative to the run.

    Reads one column, or one chunk, at a time.
    """
    paths = []
    for path, content in _files(run, atlas):
        run.write(path, content.encode("ascii"))
        paths.append(path)
        if progress:
            progress.add()
    return tuple(paths)


def _files(run: Run, atlas: Atlas) -> Iterator[tuple[str, str]]:
    names = _columns(run)
    for name in names:
        values = _column(run, name)
        call = f"flowatlas.column({json.dumps(name)}, {json.dumps(values.dtype.str[1:])}, "
        yield f"{FOLDER}/{name}.js", f'{call}"{_packed(values)}");\n'
    grid = [0, 0]
    for number, lo in enumerate(range(0, run.spec.rows, CHUNK)):
        hi = min(lo + CHUNK, run.spec.rows)
        index = run.index_rows(lo, hi)
        uris = json.dumps(index["uri"].to_pylist(), ensure_ascii=True, separators=(",", ":"))
        flows = atlas.pooled(lo, hi)
        grid = list(flows.shape[1:])
        top = flows.max(axis=(1, 2), keepdims=True)
        levels = np.rint(255 * flows / np.where(top > 0, top, 1)).astype(np.uint8)
        text = f'flowatlas.chunk({number}, {uris}, "{_packed(levels)}");\n'
        yield f"{FOLDER}/chunk-{number}.js", text
    meta = {
        "rows": run.spec.rows,
        "chunk": CHUNK,
        "names": short_names(run.spec.classes),
        "measures": names[len(_FIRST) :],
        "grid": grid,
        "root": _root(run),
        **({"multi_label": True} if run.spec.multi_label else {}),
    }
    yield f"{FOLDER}/meta.js", f"flowatlas.open({json.dumps(meta, ensure_ascii=True)});\n"


def _columns(run: Run) -> list[str]:
    known = set(run.summary().schema.names)
    return [*_FIRST, *(name for name in _MEASURES if name in known)]


def _column(run: Run, name: str) -> NDArray[np.generic]:
    """Return a column in order of rows: whole numbers with -1 for null, or float32 with NaN."""
    table: pa.Table = run.summary().to_table(columns=["row", name])
    order = np.argsort(table["row"].to_numpy(), kind="stable")
    column = table[name]
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(), np.float32)[order]
    return np.asarray(column.cast(pa.int32()).fill_null(-1).to_numpy(), np.int32)[order]


def _packed(values: NDArray[np.generic]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _root(run: Run) -> str | None:
    """Return the way from the report to local images; None where they are in a store."""
    root = run.spec.root
    if is_url(root) or is_url(run.place):
        return None
    return os.path.relpath(root, os.path.join(run.place, "report"))
