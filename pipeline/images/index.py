"""The index of a dataset: one row per image, its boxes, and a fingerprint of both."""

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from pipeline.errors import DatasetError
from pipeline.images.frames import LOOKED_AT, check_frames
from pipeline.images.sources.leftovers import Leftover, Leftovers
from pipeline.images.sources.source import Entry, Source

INDEX_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("offset", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("label", pa.int32()),
        pa.field("split", pa.string()),
    ]
)

BOXES_SCHEMA = pa.schema(
    [pa.field("row", pa.int64(), nullable=False)]
    + [pa.field(name, pa.float32(), nullable=False) for name in ("x0", "y0", "x1", "y1")]
)

PART_ROWS = 65_536
"""Rows of a part of an index; only one part is held in memory."""

Sink = Callable[[int, pa.Table, pa.Table], None]
"""Stores a part: its number, its rows, their boxes."""


@dataclass(frozen=True)
class Index:
    """What a scan found: the number of images, boxes and labels, and their hash (32 hex digits).

    ``leftovers`` is what it found and does not use; it is not part of the fingerprint.
    """

    rows: int
    boxes: int
    labelled: int
    highest_label: int | None
    fingerprint: str
    leftovers: tuple[Leftover, ...] = ()


def build_index(source: Source, keep: Sink) -> Index:
    """Scan a source, number its images 0, 1, 2, … and pass them to ``keep`` part by part.

    The fingerprint is blake2b-128 over uri, offset, length, label, split and boxes of every row in
    order; the root is not part of it, so a dataset may move. Memory: one part.

    Raises
    ------
    DatasetError
        The source is empty or inconsistent (see ``Source.scan``), or its boxes do not lie within
        its images.
    """
    digest = hashlib.blake2b(b"flowatlas index 1", digest_size=16)
    leftovers = Leftovers()
    rows = boxes = labelled = 0
    highest: int | None = None
    framed: list[Entry] = []
    for part, chunk in enumerate(_chunks(source.scan(leftovers))):
        digest.update(b"".join(map(_canonical, chunk)))
        keep(part, _rows(chunk, rows), _boxes(chunk, rows))
        labels = [entry.label for entry in chunk if entry.label is not None]
        highest = max(labels, default=None) if highest is None else max(highest, *labels, -1)
        rows += len(chunk)
        boxes += sum(len(entry.boxes) for entry in chunk)
        labelled += len(labels)
        if len(framed) < LOOKED_AT:
            framed += islice((e for e in chunk if e.boxes), LOOKED_AT - len(framed))
    if not rows:
        raise DatasetError(f"there are no images in {source.root}; check dataset.source")
    check_frames(source.root, framed, leftovers)
    return Index(rows, boxes, labelled, highest, digest.hexdigest(), leftovers.found)


def _chunks(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while chunk := list(islice(entries, PART_ROWS)):
        yield chunk


def _rows(chunk: Sequence[Entry], first: int) -> pa.Table:
    columns = [
        range(first, first + len(chunk)),
        [entry.uri for entry in chunk],
        [entry.offset for entry in chunk],
        [entry.length for entry in chunk],
        [entry.label for entry in chunk],
        [entry.split for entry in chunk],
    ]
    return _table(columns, INDEX_SCHEMA)


def _boxes(chunk: Sequence[Entry], first: int) -> pa.Table:
    numbers = [number for number, entry in enumerate(chunk, first) for _ in entry.boxes]
    boxes = [box for entry in chunk for box in entry.boxes]
    return _table([numbers, *([box[axis] for box in boxes] for axis in range(4))], BOXES_SCHEMA)


def _table(columns: Sequence[Sequence[object]], schema: pa.Schema) -> pa.Table:
    arrays = [pa.array(values, type) for values, type in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _canonical(entry: Entry) -> bytes:
    """Return a unique encoding of an entry: texts by length and content, None as −1."""
    uri = entry.uri.encode()
    split = b"" if entry.split is None else entry.split.encode()
    numbers = (
        len(uri),
        -1 if entry.offset is None else entry.offset,
        -1 if entry.length is None else entry.length,
        -1 if entry.label is None else entry.label,
        -1 if entry.split is None else len(split),
        len(entry.boxes),
    )
    corners = [corner for box in entry.boxes for corner in box]
    return struct.pack(f"<6q{len(corners)}f", *numbers, *corners) + uri + split
