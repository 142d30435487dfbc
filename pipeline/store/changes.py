"""What became of a dataset between two scans of it."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from obstore.store import ObjectStore

from pipeline.store.index import index_parts

_EXAMPLES = 3
_LONGEST = 80

Keys = NDArray[np.int64]


def what_changed(old: ObjectStore, new: ObjectStore) -> str:
    """Count what was added, removed and changed between two indices, with the first examples.

    An image is known by its URI; it has changed if its place, length, label or split has. Memory:
    32 bytes an image, and one part of the index.
    """
    before, after = _hashes(old), _hashes(new)
    sentences = [
        _told(old, "removed", ~np.isin(before[0], after[0])),
        _told(new, "added", ~np.isin(after[0], before[0])),
        _told(new, "changed", _differs(before, after)),
    ]
    named = [sentence for sentence in sentences if sentence]
    return ", ".join(named) or "its boxes or the order of its images differ"


def _hashes(store: ObjectStore) -> tuple[Keys, Keys]:
    """Return for every row a hash of its URI and one of the rest."""
    keys, rest = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in index_parts(store):
        columns = [part[name].to_pylist() for name in ("offset", "length", "label", "split")]
        named = part["uri"].to_pylist()
        if "image" in part.column_names:  # an image has several rows
            named = zip(named, _places_in(part["image"].to_numpy()), strict=True)
        keys.append(np.fromiter(map(hash, named), np.int64, len(part)))
        rest.append(np.fromiter(map(hash, zip(*columns, strict=True)), np.int64, len(part)))
    return np.concatenate(keys), np.concatenate(rest)


def _places_in(images: NDArray[np.int64]) -> list[int]:
    """Return the place of every row among those of its image, counted from the last one."""
    places: list[int] = (
        np.searchsorted(images, images, side="right") - np.arange(len(images))
    ).tolist()
    return places


def _differs(before: tuple[Keys, Keys], after: tuple[Keys, Keys]) -> NDArray[np.bool_]:
    """Return which rows of ``after`` are other than the row of the same URI before."""
    order = np.argsort(before[0], kind="stable")
    places = np.searchsorted(before[0], after[0], sorter=order).clip(max=max(0, len(order) - 1))
    if not len(order):
        return np.zeros(len(after[0]), bool)
    found = order[places]
    return np.asarray((before[0][found] == after[0]) & (before[1][found] != after[1]))


def _told(store: ObjectStore, what: str, rows: NDArray[np.bool_]) -> str:
    count = int(rows.sum())
    if not count:
        return ""
    wanted = np.flatnonzero(rows)[:_EXAMPLES]
    examples: list[str] = []
    first = 0
    for part in index_parts(store):
        inside = wanted[(wanted >= first) & (wanted < first + len(part))] - first
        examples += part["uri"].take(pa.array(inside)).to_pylist()
        first += len(part)
        if len(examples) == len(wanted):
            break
    named = ", ".join(repr(uri[:_LONGEST]) for uri in examples)
    return f"{count} {what} ({named}{', …' if count > len(examples) else ''})"
