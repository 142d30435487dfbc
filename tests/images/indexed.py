"""A whole index in memory, as no one but a test wants it."""

from dataclasses import dataclass

import pyarrow as pa

from pipeline.images import Index, Pairs, build_index
from pipeline.images.sources.source import Source


@dataclass(frozen=True)
class Indexed:
    """All rows and boxes of a scan, and its summary."""

    rows: pa.Table
    boxes: pa.Table
    index: Index


def indexed(source: Source, pairs: Pairs | None = None) -> Indexed:
    """Scan a source."""
    rows: list[pa.Table] = []
    boxes: list[pa.Table] = []

    def keep(part: int, some: pa.Table, theirs: pa.Table) -> None:
        assert part == len(rows)
        rows.append(some)
        boxes.append(theirs)

    index = build_index(source, keep, pairs)
    return Indexed(pa.concat_tables(rows), pa.concat_tables(boxes), index)
