"""Matching: which columns and which classes of two atlases mean the same."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas import Atlas


@dataclass(frozen=True)
class ColumnPair:
    """A column of each run that mean the same."""

    name: str
    other: str


def matched(one: Atlas, other: Atlas, same_layers: bool) -> tuple[ColumnPair, ...]:
    """Return the columns both have, layers matched by their relative depth."""
    depth, other_depth = len(one.layers), len(other.layers)
    found = []
    for name, kind in one.columns.items():
        stem, _, layer = name.rpartition("_l")
        partner = name
        if stem and layer.isdigit() and not same_layers:
            position = int((int(layer) + 0.5) / depth * other_depth)
            partner = f"{stem}_l{position:02d}"
        if other.columns.get(partner) == kind:
            found.append(ColumnPair(name, partner))
    return tuple(found)


def matched_classes(
    names: Sequence[str], other_names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the classes that both have, here and there.

    Of classes with the same name the first is matched with the first, and so on: ImageNet has two
    cranes.
    """
    place = {key: number for number, key in enumerate(_numbered(other_names))}
    pairs = [(i, place[key]) for i, key in enumerate(_numbered(names)) if key in place]
    here, there = np.array(pairs, np.int64).reshape(-1, 2).T
    return here, there


def _numbered(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    seen: Counter[str] = Counter()
    for name in names:
        yield name, seen[name]
        seen[name] += 1
