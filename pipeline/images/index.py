"""The index of a dataset: a row per image, or per image and label, and a fingerprint."""

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.errors import DatasetError
from pipeline.images.frames import LOOKED_AT, check_frames
from pipeline.images.pairs import Pairs, one_label
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

PAIRS_SCHEMA = INDEX_SCHEMA.append(pa.field("image", pa.int64(), nullable=False)).append(
    pa.field("labels", pa.list_(pa.int32()))
)
"""Where images have several labels: the number of the row's image, and all of its labels."""

PAIRS_BOXES_SCHEMA = BOXES_SCHEMA.append(pa.field("label", pa.int32()))
"""Where images have several labels: a box belongs to the rows that explain its label."""

PART_ROWS = 65_536
"""Rows of a part of an index; only one part is held in memory."""

Sink = Callable[[int, pa.Table, pa.Table], None]
"""Stores a part: its number, its rows, their boxes."""


@dataclass(frozen=True)
class Index:
    """What a scan found: the number of images, boxes and labels, and their hash (32 hex digits).

    ``labelled`` images have labels. ``leftovers`` is what the scan found and does not use; it is
    not part of the fingerprint. Where images have several labels, ``images`` is their number and
    ``labels`` that of all labels; None where every row is an image.
    """

    rows: int
    boxes: int
    labelled: int
    highest_label: int | None
    fingerprint: str
    leftovers: tuple[Leftover, ...] = ()
    images: int | None = None
    labels: int | None = None

    def counts(self) -> dict[str, Any]:
        """Return the fields as plain JSON types, without leftovers."""
        content = asdict(self)
        later = [name for name in ("images", "labels") if content[name] is None]
        return {k: value for k, value in content.items() if k not in ("leftovers", *later)}


def build_index(source: Source, keep: Sink, pairs: Pairs | None = None) -> Index:
    """Scan a source, number its rows 0, 1, 2, … and pass them to ``keep`` part by part.

    A row is an image; with ``pairs``, if the source gives several labels per image, it is an image
    and one of its outputs. The fingerprint is blake2b-128 over uri, offset, length, label, split
    and boxes (and all labels) of every row in order; the root is not part of it, so a dataset may
    move. Memory: one part.

    Raises
    ------
    DatasetError
        The source is empty or inconsistent (see ``Source.scan``), or its boxes do not lie within
        its images.
    ConfigError
        An image has several labels, and there is no ``pairs``.
    """
    if not _multi_label(source):
        pairs = None
    canonical = _canonical if pairs is None else _canonical_pair
    kind = b"flowatlas index 1" if pairs is None else b"flowatlas index 1 of pairs"
    digest = hashlib.blake2b(kind, digest_size=16)
    leftovers, tally = Leftovers(), _Tally()
    for part, numbered in enumerate(_chunks(_numbered(source, leftovers, pairs))):
        chunk = [entry for _, entry in numbered]
        digest.update(b"".join(map(canonical, chunk)))
        rows, boxes = _rows(chunk, tally.rows), _boxes(chunk, tally.rows)
        if pairs is None:
            keep(part, _table(rows, INDEX_SCHEMA), _table(boxes, BOXES_SCHEMA))
        else:
            rows += [[number for number, _ in numbered], [entry.labels for entry in chunk]]
            boxes += [[label for entry in chunk for label in entry.box_labels]]
            keep(part, _table(rows, PAIRS_SCHEMA), _table(boxes, PAIRS_BOXES_SCHEMA))
        tally.add(numbered, multi_label=pairs is not None)
    if not tally.rows:
        raise DatasetError(f"there are no images in {source.root}; check dataset.source")
    check_frames(source.root, tally.framed, leftovers)
    return Index(
        rows=tally.rows,
        boxes=tally.boxes,
        labelled=tally.labelled,
        highest_label=tally.highest,
        fingerprint=digest.hexdigest(),
        leftovers=leftovers.found,
        images=None if pairs is None else tally.images,
        labels=None if pairs is None else tally.labels,
    )


@dataclass
class _Tally:
    """Counts of rows, images and labels, and the first images with boxes."""

    rows: int = 0
    images: int = 0
    boxes: int = 0
    labels: int = 0
    labelled: int = 0
    highest: int | None = None
    framed: list[Entry] = field(default_factory=list)

    def add(self, numbered: Sequence[tuple[int, Entry]], multi_label: bool) -> None:
        """Add rows, each with the number of its image; an image counts once."""
        new = {number: entry for number, entry in numbered if number >= self.images}
        self.rows += len(numbered)
        self.images += len(new)
        self.boxes += sum(len(entry.boxes) for _, entry in numbered)
        known = [e.labels if multi_label else _alone(e.label) for e in new.values()]
        self.labelled += sum(labels is not None for labels in known)
        self.labels += sum(map(len, filter(None, known)))
        highest = max((label for labels in filter(None, known) for label in labels), default=-1)
        if highest >= 0:
            self.highest = highest if self.highest is None else max(self.highest, highest)
        boxed = (entry for entry in new.values() if entry.boxes)
        self.framed += islice(boxed, LOOKED_AT - len(self.framed))


def _alone(label: int | None) -> tuple[int, ...] | None:
    return None if label is None else (label,)


def _multi_label(source: Source) -> bool:
    """Return whether images may have several labels; a source written before may not say."""
    return bool(getattr(source, "multi_label", False))


def _numbered(
    source: Source, leftovers: Leftovers, pairs: Pairs | None
) -> Iterator[tuple[int, Entry]]:
    """Yield every row with the number of its image."""
    multi_label = _multi_label(source)
    for number, entry in enumerate(source.scan(leftovers)):
        if pairs is not None:
            yield from ((number, row) for row in pairs.rows(entry))
        else:
            yield number, one_label(entry) if multi_label else entry


def _chunks(rows: Iterator[tuple[int, Entry]]) -> Iterator[list[tuple[int, Entry]]]:
    while chunk := list(islice(rows, PART_ROWS)):
        yield chunk


def _rows(chunk: Sequence[Entry], first: int) -> list[Sequence[object]]:
    return [
        range(first, first + len(chunk)),
        [entry.uri for entry in chunk],
        [entry.offset for entry in chunk],
        [entry.length for entry in chunk],
        [entry.label for entry in chunk],
        [entry.split for entry in chunk],
    ]


def _boxes(chunk: Sequence[Entry], first: int) -> list[Sequence[object]]:
    numbers = [number for number, entry in enumerate(chunk, first) for _ in entry.boxes]
    boxes = [box for entry in chunk for box in entry.boxes]
    return [numbers, *([box[axis] for box in boxes] for axis in range(4))]


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


def _canonical_pair(entry: Entry) -> bytes:
    """Return a unique encoding of a row of an image with several labels."""
    labels = entry.labels
    of_boxes = [-1 if label is None else label for label in entry.box_labels]
    numbers = (-1 if labels is None else len(labels), *(labels or ()), *of_boxes)
    return _canonical(entry) + struct.pack(f"<{len(numbers)}q", *numbers)
