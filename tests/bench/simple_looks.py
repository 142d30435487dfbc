"""What somebody finds who looks at class means, or at clusters of maps, without a test."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from pipeline.store import Run

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Answer:
    """What one approach says of one planted artefact."""

    approach: str
    found: bool
    right: bool = False
    """It names the region or the operator."""
    verdict: str | None = None
    carried: float | None = None
    """Share of the images that it shows that carry the artefact."""


@dataclass(frozen=True)
class Planted:
    """One planted artefact with the rows of the images that carry it."""

    label: int
    kind: str
    where: str
    boxes: tuple[Box, ...]
    flips: float
    rows: frozenset[int]
    used: bool
    """Whether the model was trained on it in one class."""


def look(run: Run, clustered: Run, plant: Planted, looked: int) -> tuple[Answer, Answer]:
    """Return what somebody sees who looks at so many classes as there are artefacts.

    ``class means``: the classes whose mean flow exceeds that of the others most, anywhere, in
    deviations of the classes. ``clusters``: after SpRAy (Lapuschkin et al., "Unmasking Clever Hans
    predictors", 2019), the classes whose last maps in ``clustered`` fall most clearly into two
    groups; found if one of the two has F1 ≥ 0.6 on the images that carry the artefact.
    """
    images = run.summary().to_table(columns=["row", "label"]).sort_by("row")
    labels = images["label"].to_numpy()
    flows = _flows(run, images["row"].to_numpy())[0]
    last = _flows(clustered, images["row"].to_numpy())[1]
    classes = np.unique(labels)
    means = np.stack([flows[labels == key].mean(0) for key in classes])
    excess = (means - np.median(means, 0)) / (means.std(0) + 1e-9)
    place = int(np.flatnonzero(classes == plant.label)[0])
    seen = place in np.argsort(-excess.max(1))[:looked]
    cell = int(excess[place].argmax())
    height, width = run.spec.grid
    x, y = (cell % width + 0.5) / width, (cell // width + 0.5) / height
    inside = any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in plant.boxes)
    split = [_two_groups(last[labels == key]) for key in classes]
    clear = place in np.argsort([-gap for gap, _ in split])[:looked]
    own = images["row"].to_numpy()[labels == plant.label]
    hits = np.isin(own, list(plant.rows))
    best = max(_f1(split[place][1] == side, hits) for side in (0, 1))
    return (
        Answer("class means", found=bool(seen), right=bool(seen and inside)),
        Answer("clusters", found=bool(clear and best >= 0.6), carried=best),
    )


def _flows(run: Run, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return accumulated and last maps (n, cells) of mass 1; the latter under a root."""
    scale = np.asarray(run.scale.oindex[rows], np.float64)
    maps = np.asarray(run.maps.oindex[rows], np.float64) * scale[:, :, None, None]
    flows, last = maps.sum(1).reshape(len(rows), -1), maps[:, -1].reshape(len(rows), -1)
    flows = flows / np.maximum(flows.sum(1, keepdims=True), 1e-12)
    return flows, np.sqrt(last / np.maximum(last.sum(1, keepdims=True), 1e-12))


def _two_groups(maps: NDArray[np.float64]) -> tuple[float, NDArray[np.int64]]:
    """Return the share of the variance between two groups of maps, and the group of each."""
    if len(maps) < 4:
        return 0.0, np.zeros(len(maps), np.int64)
    _, group = kmeans2(maps, 2, minit="++", seed=0, iter=30)
    within = sum(
        float(((maps[group == side] - maps[group == side].mean(0)) ** 2).sum())
        for side in (0, 1)
        if (group == side).any()
    )
    whole = float(((maps - maps.mean(0)) ** 2).sum())
    return 1 - within / max(whole, 1e-12), np.asarray(group, np.int64)


def _f1(chosen: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    both = float((chosen & true).sum())
    return 2 * both / max(1.0, float(chosen.sum() + true.sum()))
