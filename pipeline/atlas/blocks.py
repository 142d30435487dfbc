"""Reading a run for its atlas: blocks of units, cells of their images, read-ahead of maps."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow.dataset import FileSystemDataset, ParquetFileFormat
from zarr.buffer.cpu import NDBuffer

from pipeline.atlas.commonness.weights import read_commonness
from pipeline.atlas.request import Order
from pipeline.atlas.statistics.block import FlowBlock
from pipeline.atlas.statistics.membership import HEAD, Members, members_of
from pipeline.store import Run, Unit
from pipeline.store.layout import summary_path, summary_schema

BLOCK_ROWS, BLOCK_BYTES = 32_768, 160 << 20
"""Limits of a block, in images and in bytes of maps: large enough for several images per cell.
A block holds at least one unit."""

_PARQUET = ParquetFileFormat()
_BYTES_TOGETHER = 4 << 20
"""Bytes of units read at once, at least two units, so that one arrives while another is unpacked.
Small units are cheaper to read together; large ones gain nothing."""


def flows_of(
    run: Run, order: Order, units: Sequence[Unit]
) -> Iterator[tuple[Sequence[Unit], FlowBlock]]:
    """Yield the flows of some units, block by block; a block is valid until the next is requested.

    The next block is read meanwhile. Two buffers are allocated once and used in turn, because
    clearing new memory for each block would take a third of the time of reading it.
    """
    maps, scale = run.flow_arrays(order.target)
    cut = list(blocks(run, units))
    rows = max(sum(map(len, block)) for block in cut)
    buffers = [np.empty((rows, *maps.shape[1:]), maps.dtype) for _ in cut[:2]]
    read = partial(_read_flows, run, order, maps, scale)
    waiting: list[Future[tuple[Sequence[Unit], FlowBlock]]] = []
    with ThreadPoolExecutor(1) as reader:
        for block, buffer in zip(cut, cycle(buffers), strict=False):
            waiting.append(reader.submit(read, block, buffer))
            if len(waiting) == len(buffers):
                yield waiting.pop(0).result()
        yield from (future.result() for future in waiting)


def _read_flows(
    run: Run, order: Order, maps: Any, scale: Any, block: Sequence[Unit], buffer: NDArray[Any]
) -> tuple[Sequence[Unit], FlowBlock]:
    _, members = read_members(run, order, block)
    heads = read_rows(run.heads, block) if run.spec.heads else None
    return block, FlowBlock(members, read_rows(maps, block, buffer), read_rows(scale, block), heads)


def read_members(
    run: Run, order: Order, block: Sequence[Unit], names: Sequence[str] = ()
) -> tuple[pa.Table, Members]:
    """Read columns of some units, and the cells and weights of their images."""
    by = (order.tables.by,) if order.tables.by else ()
    needed = dict.fromkeys([*HEAD, *by, *names, *(order.where.columns if order.where else ())])
    part = read_columns(run, block, list(needed)).combine_chunks()
    chosen = order.where.chosen(part) if order.where else None
    members = members_of(part, order.tables, chosen)
    if order.weights is not None:
        weights, first = read_commonness(run, order.weights, block)
        members = replace(members, weights=weights, first=first)
    return part, members


def read_columns(run: Run, block: Sequence[Unit], names: Sequence[str]) -> pa.Table:
    """Read columns of some units' images from the summary, or else from the index.

    The parts are unpacked as one dataset, which releases Python's lock for other threads.
    """
    schema = summary_schema(run.spec.columns, run.spec.multi_label)
    own = [name for name in names if name in schema.names]
    parts = [pa.BufferReader(run.read(summary_path(unit.id))) for unit in block]
    fragments = [_PARQUET.make_fragment(part) for part in parts]
    dataset = FileSystemDataset(fragments, schema, _PARQUET)
    found = dataset.to_table(columns=own or ["row"], use_threads=False, cache_metadata=False)
    missing = [name for name in names if name not in schema.names]
    if missing:
        index = pa.concat_tables([run.index_rows(unit.lo, unit.hi) for unit in block])
        for name in missing:
            found = found.append_column(index.schema.field(name), index[name])
    return found


def read_rows(
    array: Any, block: Sequence[Unit], buffer: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Read the rows of some units, in their order, into a buffer if there is one."""
    count = sum(map(len, block))
    rows = np.empty((count, *array.shape[1:]), array.dtype) if buffer is None else buffer[:count]
    for lo, hi, first in _spans(block, rows):
        out = NDBuffer.from_numpy_array(rows[first : first + hi - lo])
        array.get_basic_selection(slice(lo, hi), out=out)
    return rows


def write_rows(array: Any, block: Sequence[Unit], rows: NDArray[Any]) -> None:
    """Write the rows of some units, which are whole chunks of the array."""
    for lo, hi, first in _spans(block, rows):
        array[lo:hi] = rows[first : first + hi - lo]


def _spans(block: Sequence[Unit], rows: NDArray[Any]) -> Iterator[tuple[int, int, int]]:
    """Yield the spans of consecutive units to read or write: lo, hi, position in ``rows``."""
    together = max(2, _BYTES_TOGETHER * len(rows) // rows.nbytes // len(block[0]))
    lo, hi, count, first = block[0].lo, block[0].lo, 0, 0
    for unit in block:
        if count == together or unit.lo != hi:
            yield lo, hi, first
            first += hi - lo
            lo, count = unit.lo, 0
        hi, count = unit.hi, count + 1
    yield lo, hi, first


def blocks(run: Run, units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Split units into blocks of ``BLOCK_ROWS`` images, fewer if their maps are large."""
    most = min(BLOCK_ROWS, BLOCK_BYTES // (2 * len(run.spec.layers) * math.prod(run.spec.grid)))
    block: list[Unit] = []
    rows = 0
    for unit in sorted(units, key=lambda unit: unit.id):
        if block and rows + len(unit) > most:
            yield block
            block, rows = [], 0
        block.append(unit)
        rows += len(unit)
    yield block
