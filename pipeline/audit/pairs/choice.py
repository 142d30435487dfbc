"""Which images make a pair: those of a table, or nearest neighbours in a run's embeddings."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import torch
from torch.nn import functional

from pipeline.audit.sample import drawn_rows
from pipeline.errors import ConfigError, DatasetError
from pipeline.files.root import Root
from pipeline.files.tabular import Table
from pipeline.files.urls import shown
from pipeline.flows.references.neighbours import search
from pipeline.nouns import agreeing, counted, part_of
from pipeline.store import Run, Status

QUERY, GALLERY = "query", "gallery"
"""The columns of a table of pairs."""

NEAREST = "nearest"
"""The name of the pairs of nearest neighbours."""

Pair = tuple[int, int]

_NAMED = 3


def name_of(table: str) -> str:
    """Return the name under which the pairs of a table are kept: that of the file, plainly."""
    stem = PurePosixPath(table.replace("\\", "/")).name
    stem = stem.removesuffix(PurePosixPath(stem).suffix)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "pairs"


def listed_pairs(run: Run, path: str) -> tuple[Pair, ...]:
    """Return the pairs of a table, as rows of the run, in the table's order.

    The table has the columns ``query`` and ``gallery`` with the images as the dataset's index names
    them, or as absolute paths or URLs. Where images have several labels, the first row of an image
    stands for it.

    Raises
    ------
    DatasetError
        The table cannot be read, has no such columns or no rows, or names images that are not in
        the dataset; these are counted and the first ones named.
    """
    given = list(_read(path))
    if not given:
        raise DatasetError(f"the table {path} has no rows; give pairs of images")
    root = Root(run.spec.root)
    names = dict.fromkeys(name for pair in given for name in pair)
    rows = _rows_of(run, {name: _placed(root, name, path) for name in names})
    if missing := [name for name in names if name not in rows]:
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        listed = ", ".join(repr(shown(name)[:120]) for name in missing[:_NAMED])
        raise DatasetError(
            f"{part_of(len(missing), len(names), 'image')} of {path} "
            f"{agreeing(len(missing), 'is', 'are')} not in the dataset of {run.uri}: "
            f"{listed}{more}; write them as its index does (relative to {run.spec.root}), or "
            "compute a run that has them"
        )
    return tuple((rows[query], rows[gallery]) for query, gallery in given)


def nearest_pairs(run: Run, images: int) -> tuple[Pair, ...]:
    """Return images drawn at random, each with the image whose stored embedding is nearest to it.

    Nearest by cosine, exactly; an image is never its own neighbour.

    Raises
    ------
    ConfigError
        The run stores no embeddings, or has fewer than two usable images.
    """
    if not run.spec.channels:
        raise ConfigError(
            f"{run.uri} stores no embeddings to find nearest neighbours in; give a table of pairs, "
            "or compute the run with flow.features: true"
        )
    status = np.asarray(run.status[:])
    usable = np.flatnonzero(status == Status.OK)
    if len(usable) < 2:
        raise ConfigError(f"{run.uri} has {counted(len(usable), 'usable image')}; a pair needs two")
    features = torch.from_numpy(np.asarray(run.features[:])[usable])
    features = functional.normalize(features, dim=1)
    place = {int(row): number for number, row in enumerate(usable)}
    queries = [row for row in drawn_rows(run, images) if row in place]
    own = torch.tensor([place[row] for row in queries])
    _, nearest = search(
        lambda part: features[own] @ features[part].T, len(own), len(features), 1, exclude=own
    )
    return tuple(
        (row, int(usable[other]))
        for row, other in zip(queries, nearest[:, 0].tolist(), strict=True)
    )


def _read(path: str) -> Iterator[tuple[str, str]]:
    table = Table(path)
    columns = [table.column(QUERY), table.column(GALLERY)]
    if None in columns:
        names = ", ".join(map(repr, table.names[:8]))
        raise DatasetError(
            f"{path} has the columns {names}; a table of pairs needs {QUERY} and {GALLERY}, each "
            "with paths of images"
        )
    for batch in table.batches([name for name in columns if name]):
        texts = [table.texts(batch.column(name), name).to_pylist() for name in columns if name]
        yield from ((query or "", gallery or "") for query, gallery in zip(*texts, strict=True))


def _placed(root: Root, name: str, path: str) -> str:
    """Return a name as the index has it; the name itself where the dataset cannot have it."""
    try:
        return root.place(name)
    except DatasetError:
        return name


def _rows_of(run: Run, placed: dict[str, str]) -> dict[str, int]:
    """Return the first row of every image that the index has, by its name in the table."""
    index = run.index().select(["row", "uri"])
    wanted = set(placed.values())
    first: dict[str, int] = {}
    for row, uri in zip(index["row"].to_pylist(), index["uri"].to_pylist(), strict=True):
        if uri in wanted:
            first.setdefault(uri, row)
    return {name: first[uri] for name, uri in placed.items() if uri in first}
