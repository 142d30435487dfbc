"""Explained pairs of images, as ``flowatlas pairs`` left them: two photographs and lines."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.audit.pairs.schema import FOLDER, PAIRS_SCHEMA
from pipeline.audit.text.numbers import figure, percent
from pipeline.nouns import part_of
from pipeline.report.pictures.film_strips import bright
from pipeline.report.pictures.palettes import TRANSPARENT
from pipeline.report.pictures.sprites import Sprite, levels, sprite
from pipeline.store import Run

SHOWN = 24
"""Pairs of a table that are shown, in its order."""

HEIGHT, GAP = 100.0, 14.0
"""Of a photograph, and between two of them, in the units of the drawing."""

THINNEST, THICKEST = 0.5, 3.0
"""Width of a line of no share, and of the strongest one."""

_FILE = re.compile(rf"{FOLDER}/([^/]+)\.parquet")


@dataclass(frozen=True)
class Line:
    """A line between the centres of two patches, and what it means.

    ``ends`` are x and y in the query, then in the gallery image.
    """

    ends: tuple[float, float, float, float]
    width: float
    words: str


@dataclass(frozen=True)
class ShownPair:
    """A pair as its table has it, its lines, and the size of a patch as it is drawn.

    ``tile`` is the number of the query's map in the film of the table; that of the gallery image
    follows. None for a pair that is not explained.
    """

    row: Mapping[str, Any]
    sentence: str
    lines: tuple[Line, ...] = ()
    patch: tuple[float, float] = (0.0, 0.0)
    tile: int | None = None


@dataclass(frozen=True)
class PairTable:
    """The first pairs of one table, of ``in_all``; ``film`` has their maps."""

    name: str
    sentence: str
    pairs: tuple[ShownPair, ...]
    in_all: int
    film: Sprite | None


@dataclass(frozen=True)
class PairsPage:
    """All tables of a run; ``width`` is that of a photograph as it is drawn."""

    tables: tuple[PairTable, ...]
    width: float

    @property
    def rows(self) -> frozenset[int]:
        """The shown images, as rows of the run."""
        shown = [pair.row for table in self.tables for pair in table.pairs]
        return frozenset(row[side] for row in shown for side in ("query", "gallery"))


def read_pairs(run: Run) -> PairsPage | None:
    """Return the page of a run's explained pairs; None without a table of this version."""
    height, width = run.spec.input["size"]
    wide = HEIGHT * width / height
    paths = {match[1]: path for path in run.list(FOLDER) if (match := _FILE.fullmatch(path))}
    found = {name: run.table(path) for name, path in paths.items()}
    tables = tuple(
        _table(name, table.to_pylist(), wide)
        for name, table in found.items()
        if table.schema.equals(PAIRS_SCHEMA)
    )
    return PairsPage(tables, wide) if tables else None


def _table(name: str, rows: Sequence[dict[str, Any]], wide: float) -> PairTable:
    explained = [row for row in rows if row["reason"] is None]
    complete = sum(row["complete"] for row in explained)
    sentence = f"{part_of(len(explained), len(rows), 'pair')} explained"
    if explained:
        worst = max(row["error"] for row in explained)
        sentence += (
            f"; {complete:,} of them complete, the largest error is "
            f"{percent(worst)} of the similarity"
        )
    shown, maps = [], []
    for row in rows[:SHOWN]:
        if row["reason"] is not None:
            shown.append(ShownPair(row, "Not explained."))
            continue
        grid = (row["height"], row["width"])
        sides = (row["query_map"], row["gallery_map"])
        maps += [np.clip(np.array(side, np.float64).reshape(grid), 0, None) for side in sides]
        patch = (wide / grid[1], HEIGHT / grid[0])
        shown.append(ShownPair(row, _sentence(row), _lines(row, wide), patch, len(maps) - 2))
    drawn = [levels(own, bright(own)) for own in maps]
    film = sprite(np.stack(drawn), 2, TRANSPARENT) if drawn else None
    return PairTable(name, f"{sentence}.", tuple(shown), len(rows), film)


def _sentence(row: Mapping[str, Any]) -> str:
    """Return what the numbers of a pair say."""
    alone = row["query_reference"] + row["gallery_reference"] - row["references"]
    found = (
        f"Similarity {figure(row['similarity'])}: {figure(row['attributed'])} from pairs of "
        f"tokens ({figure(row['patches'])} from patches alone) and {figure(alone)} from the "
        f"reference; "
    )
    if not row["complete"]:
        found += "not complete, "
    return f"{found}{percent(row['error'])} missing after {row['steps']} steps."


def _lines(row: Mapping[str, Any], wide: float) -> tuple[Line, ...]:
    """Return the lines of a pair, the weakest first, so that the strongest lies on top."""
    grid = (row["height"], row["width"])
    found = []
    for query, gallery, share in zip(
        row["query_patches"], row["gallery_patches"], row["shares"], strict=True
    ):
        start, end = _centre(query, grid, wide), _centre(gallery, grid, wide)
        width = THINNEST + (THICKEST - THINNEST) * share / row["shares"][0]
        words = (
            f"{percent(share)} of what speaks for the similarity: "
            f"{_named(query, grid)} and {_named(gallery, grid)}"
        )
        ends = (start[0], start[1], end[0] + wide + GAP, end[1])
        found.append(Line(ends, round(width, 3), words))
    return tuple(reversed(found))


def _centre(patch: int, grid: tuple[int, int], wide: float) -> tuple[float, float]:
    row, column = divmod(patch, grid[1])
    x, y = (column + 0.5) * wide / grid[1], (row + 0.5) * HEIGHT / grid[0]
    return round(x, 3), round(y, 3)


def _named(patch: int, grid: tuple[int, int]) -> str:
    row, column = divmod(patch, grid[1])
    return f"row {row + 1}, column {column + 1}"
