"""Neighbours: which shown images of a class have the most similar flow."""

from collections.abc import Mapping

import numpy as np

from pipeline.report.pages.rows import Row
from pipeline.report.pictures.overlays import Picture

NEAREST = 4


def find_neighbours(
    rows: Mapping[int, Row], pictures: Mapping[int, Picture]
) -> dict[int, tuple[int, ...]]:
    """Return the nearest shown rows of the same class, by row; ties go to the lower row.

    Distances are Hellinger's between accumulated flows in 7 × 7 boxes. A row without a flow, or
    without a class, has no neighbours.
    """
    classes: dict[int, list[int]] = {}
    for number, row in sorted(rows.items()):
        if row.class_id is not None and pictures[number].flow:
            classes.setdefault(row.class_id, []).append(number)
    found: dict[int, tuple[int, ...]] = dict.fromkeys(rows, ())
    for members in classes.values():
        roots = np.sqrt([pictures[number].flow for number in members])
        affinity = roots @ roots.T
        np.fill_diagonal(affinity, -1)
        order = np.argsort(-affinity, axis=1, kind="stable")[:, : min(NEAREST, len(members) - 1)]
        for number, near in zip(members, order.tolist(), strict=True):
            found[number] = tuple(members[place] for place in near)
    return found
