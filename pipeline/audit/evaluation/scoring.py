"""Scores of the maps of some images, added to a tally: for all images and for each class."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.atlas.statistics.hashing import hash64
from pipeline.audit.compare.shared_images import rank_correlation
from pipeline.audit.evaluation.box_curves import box_counts, pixel_counts
from pipeline.audit.evaluation.localisation import auc, energy, lift, pointing, rank_accuracy
from pipeline.audit.evaluation.maps import OWN, UNIFORM
from pipeline.audit.evaluation.metrics import CORRELATION, GAIN, MAX_BOX, PXAP
from pipeline.audit.evaluation.tally import Integer, Key, Tally
from pipeline.audit.sample import Sample

FOLDS = 20
"""Folds of images, by a hash of their rows, from which the intervals of curves are computed."""

_SEED = 2

Float = NDArray[np.float64]


def add_scores(tally: Tally, key: Key, values: Float, labels: Integer) -> None:
    """Add the scores (n,) of images with these labels (n,), -1 for none; NaN are left out."""
    tally.score(key, values)
    for label in np.unique(labels[labels >= 0]).tolist():
        tally.score(key._replace(label=label), values[labels == label])


def add_localisation(
    tally: Tally,
    name: str,
    maps: Float,
    sample: Sample,
    grid: tuple[int, int],
    tolerance: float,
    layer: int = -1,
) -> None:
    """Add whether maps (n, cells) lie on the boxes of images that have some.

    Of single layers only what a curve over the layers shows: pointing, lift and AUC.
    """
    boxes = sample.boxes.double().numpy()
    known = np.isfinite(maps).all(1) & sample.cover.any(1)
    chosen = [
        (maps[n], sample.cover[n], boxes[n], n) for n in np.flatnonzero(known) if maps[n].any()
    ]
    if not chosen:
        return
    labels = sample.labels[[n for *_, n in chosen]]
    values = {
        "pointing": [pointing(p, own, grid, tolerance) for p, _, own, _ in chosen],
        "lift": [lift(p, cover) for p, cover, _, _ in chosen],
        "auc": [auc(p, cover) for p, cover, _, _ in chosen],
    }
    if layer < 0:
        values |= {
            "energy": [energy(p, cover) for p, cover, _, _ in chosen],
            "rank_accuracy": [rank_accuracy(p, cover) for p, cover, _, _ in chosen],
        }
        folds = hash64(_SEED, sample.rows) % np.uint64(FOLDS)
        for p, cover, own, n in chosen:
            key = Key(name, PXAP, fold=int(folds[n]))
            one = np.ones(1, np.int64)
            tally.add(key, np.concatenate([one, pixel_counts(p, cover).ravel()]))
            counts = box_counts(p, own, grid).ravel()
            tally.add(key._replace(metric=MAX_BOX), np.concatenate([one, counts]))
    for metric, found in values.items():
        key = Key(name, metric, layer=layer)
        if layer < 0:
            add_scores(tally, key, np.array(found), labels)
        else:
            tally.score(key, found)


def add_correlation(
    tally: Tally,
    maps: Mapping[str, Float],
    reference: str,
    fill: str,
    labels: Integer,
) -> None:
    """Add Spearman's correlation of every map (n, cells) with the reference, a map among them.

    And by how much that is more than the run's own map has, image by image: its interval shows
    whether one of two methods is better, where those of both overlap because images differ. NaN
    rows of a map, and maps that are the same everywhere, have none.
    """
    wanted = maps[reference]
    found = {
        name: correlation(own, wanted)
        for name, own in maps.items()
        if name not in (reference, UNIFORM)
    }
    for name, values in found.items():
        add_scores(tally, Key(name, CORRELATION, fill), values, labels)
        if name != OWN and OWN in found:
            tally.score(Key(name, GAIN, fill), values - found[OWN])


def correlation(maps: Float, wanted: Float) -> Float:
    """Return Spearman's correlation of maps (n, cells); NaN where either is not known or flat."""
    found = np.full(len(maps), np.nan)
    known = np.isfinite(maps).all(1) & np.isfinite(wanted).all(1)
    if known.any():
        found[known] = rank_correlation(maps[known], wanted[known])
    return found


def add_layers(
    tally: Tally,
    layers: Float,
    names: tuple[str, str],
    sample: Sample,
    grid: tuple[int, int],
    tolerance: float,
    references: Mapping[str, Float],
) -> None:
    """Add what a run's own maps (n, L, cells) show, up to each layer and of each layer alone.

    ``names`` are those of both; ``references`` the maps of occlusion, by fill.
    """
    for name, stack in zip(names, (layers.cumsum(1), layers), strict=True):
        for layer in range(layers.shape[1]):
            own = stack[:, layer]
            add_localisation(tally, name, own, sample, grid, tolerance, layer)
            for fill, wanted in references.items():
                tally.score(Key(name, CORRELATION, fill, layer), correlation(own, wanted))


def disagreement(maps: Sequence[Float]) -> Float:
    """Return how little maps (n, cells) of each image agree, (n,).

    1 less the mean of Spearman's correlation over all pairs of maps; NaN where none is defined.
    """
    pairs = [
        correlation(one, other) for place, one in enumerate(maps) for other in maps[place + 1 :]
    ]
    found = np.array(pairs).reshape(len(pairs), -1)
    known = np.isfinite(found).sum(0)
    total = np.nansum(found, axis=0)
    return np.where(known > 0, 1 - total / np.maximum(known, 1), np.nan)
