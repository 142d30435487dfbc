"""From rows to units: how many rows a unit has."""

import math

from pipeline.measures.heads import HEAD_STATISTICS

SHARD_BYTES = 128 * 2**20
MIN_UNITS = 512
MIN_UNIT_ROWS = 64


def bytes_per_image(
    layers: int, grid: tuple[int, int], dtype: str, *, flows: int = 1, channels: int = 0
) -> int:
    """Return the uncompressed bytes of one image's maps (of all its flows) and its embedding."""
    maps = layers * grid[0] * grid[1] * {"float16": 2, "float32": 4}[dtype]
    return flows * maps + 4 * channels


def head_bytes(layers: int, heads: int) -> int:
    """Return the uncompressed bytes of one image's statistics of attention heads."""
    return 2 * layers * heads * len(HEAD_STATISTICS)


def choose_unit_rows(rows: int, image_bytes: int, batch: int = 1) -> int:
    """Return the rows of a unit: a power of two near 128 MiB of maps.

    Halved until the run has at least 512 units, so that many actors share the work evenly and
    little is lost when one dies, but never below 64 rows, nor below a batch, which would be cut.
    Depends only on data and batch size.
    """
    least = max(MIN_UNIT_ROWS, 1 << (batch - 1).bit_length())
    unit_rows = 1 << max(0, math.floor(math.log2(SHARD_BYTES / image_bytes)))
    while unit_rows > least and math.ceil(rows / unit_rows) < MIN_UNITS:
        unit_rows //= 2
    return max(unit_rows, least)
