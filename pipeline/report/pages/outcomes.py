"""Right versus wrong: where the model looks in images of a class that it gets right and wrong."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_ind_from_stats

from pipeline.atlas import Atlas, open_atlas
from pipeline.errors import RunIncomplete
from pipeline.report.pictures.film_strips import bright
from pipeline.report.pictures.palettes import DIVERGING
from pipeline.report.pictures.sprites import Sprite, levels, signed_levels, sprite
from pipeline.store import Run

LEAST = 5
"""Images on either side from which their mean maps are compared."""
CHANCE = 0.05
"""Significance level of a cell: the share of cells that would differ by chance alone."""


@dataclass(frozen=True)
class Outcome:
    """The mean final flow of a class's right and wrong images, and how they differ.

    Of the maps 1 is what a uniform one has in every cell.
    """

    right: int
    wrong: int
    film: Sprite
    """Both maps on one scale, right then wrong."""
    bright: float
    """From where their brightest colour is shown."""
    gap: Sprite
    """Right minus wrong, on :data:`pipeline.report.pictures.palettes.DIVERGING`."""
    limit: float
    """From where its strongest colours are shown, either way."""
    least: float
    most: float
    """The ends of the difference."""
    significant: float
    """Share of the cells in which the two differ by Welch's t test at p < ``CHANCE``."""


def open_outcomes(run: Run, table: str) -> Atlas | None:
    """Open the statistics by outcome; None if there are none, or classes are no labels."""
    if table != "label":
        return None
    try:
        return open_atlas(run, "outcome")
    except RunIncomplete:
        return None


def read_outcome(atlas: Atlas | None, class_id: int) -> Outcome | None:
    """Compare the right and the wrong images of a class; None if either are fewer than LEAST."""
    if atlas is None:
        return None
    pair = [2 * class_id, 2 * class_id + 1]
    images = atlas.weight_with_mass[pair]
    if images.min() < LEAST:
        return None
    means = atlas.flow_mean[pair, -1]
    deviations = [
        np.sqrt(variance * n / (n - 1))
        for variance, n in zip(atlas.flow_variance[pair, -1], images, strict=True)
    ]
    test = ttest_ind_from_stats(
        means[0], deviations[0], images[0], means[1], deviations[1], images[1], equal_var=False
    )
    top, gap, cells = bright(means), means[0] - means[1], means[0].size
    limit = bright(np.abs(gap))
    return Outcome(
        right=int(images[0]),
        wrong=int(images[1]),
        film=sprite(levels(means, top), 2),
        bright=top * cells,
        gap=sprite(signed_levels(gap, limit)[None], 1, DIVERGING),
        limit=limit * cells,
        least=float(gap.min()) * cells,
        most=float(gap.max()) * cells,
        significant=float(np.mean(np.nan_to_num(test.pvalue, nan=1.0) < CHANCE)),
    )
