"""Attention heads: one matrix of layers and heads per statistic, and what a class differs in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atlas import Atlas
from pipeline.atlas.head_groups import HeadGroups, overall_mean
from pipeline.measures.heads import HEAD_STATISTICS
from pipeline.store import Run

Float = NDArray[np.float64]
_STEPS = 1000
"""Values are whole thousandths in the page."""
_NAMED = 3


@dataclass(frozen=True)
class Matrix:
    """Values of all statistics as text for the page's script.

    ``values`` are thousandths, heads by commas, layers by spaces, statistics by semicolons; empty
    where there is none. ``statistics`` are the names of those that some head has.
    """

    values: str
    statistics: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Heads that behave alike: how many, their means by statistic, and the layers they are in."""

    number: int
    heads: int
    layers: str
    traits: str
    """The statistics in which they differ most from the mean of all heads, in words."""


@dataclass(frozen=True)
class Heads:
    """The statistics of attention heads of a run, by class, (K, L, H, S)."""

    layers: tuple[str, ...]
    mean: Float
    overall: Float
    groups: HeadGroups

    @property
    def meanings(self) -> dict[str, str]:
        """Statistic → meaning, of those that some head has."""
        return {name: HEAD_STATISTICS[name] for name in matrix_of(self.overall).statistics}

    @property
    def matrix(self) -> Matrix:
        """The means over all images."""
        return matrix_of(self.overall)

    @property
    def group_text(self) -> str:
        """The number of each head's group, heads by commas, layers by spaces."""
        rows = (",".join("" if g < 0 else str(g) for g in row) for row in self.groups.group)
        return " ".join(rows)

    def listed(self) -> tuple[Group, ...]:
        """Return the groups in words."""
        return tuple(_group(self, number) for number in range(len(self.groups.profile)))

    def difference(self, position: int) -> Matrix:
        """Return the means of a class minus those of all images."""
        return matrix_of(self.mean[position] - self.overall)

    def remarkable(self, position: int) -> tuple[str, ...]:
        """Return the heads in which a class differs most, in units of how classes differ."""
        deviation = _deviation(self.mean)
        apart = (self.mean[position] - self.overall) / deviation
        apart = np.where(np.isfinite(apart), apart, 0)
        order = np.argsort(-np.abs(apart), axis=None, kind="stable")[:_NAMED]
        found = []
        for place in order:
            layer, head, statistic = np.unravel_index(place, apart.shape)
            if apart[layer, head, statistic] == 0:
                continue
            name = list(HEAD_STATISTICS)[statistic].replace("_", " ")
            own = self.mean[position][layer, head, statistic]
            every = self.overall[layer, head, statistic]
            found.append(
                f"{self.layers[layer]}, head {head}: {name} {own:.2f}, {every:.2f} in all images "
                f"({apart[layer, head, statistic]:+.1f} standard deviations of the classes)"
            )
        return tuple(found)


def read_heads(run: Run, atlas: Atlas) -> Heads | None:
    """Read the statistics of attention heads; None where the run stores none."""
    if not run.spec.heads:
        return None
    mean = np.asarray(atlas.head_mean, dtype=np.float64)
    return Heads(
        layers=run.spec.head_layers,
        mean=mean,
        overall=overall_mean(mean, atlas.head_known),
        groups=atlas.head_groups(),
    )


def matrix_of(values: Float) -> Matrix:
    """Return statistics (L, H, S) as text; see :class:`Matrix`."""
    names, parts = [], []
    for place, name in enumerate(HEAD_STATISTICS):
        own = values[:, :, place]
        if not np.isfinite(own).any():
            continue
        names.append(name)
        parts.append(" ".join(",".join(map(_thousandths, row)) for row in own))
    return Matrix(";".join(parts), tuple(names))


def heads_table(heads: Heads) -> pa.Table:
    """Return a row for every head: layer, head, group, and the mean of each statistic."""
    layer, head = np.nonzero(heads.groups.group >= 0)
    columns = {
        "layer": pa.array([heads.layers[number] for number in layer]),
        "head": pa.array(head),
        "group": pa.array(heads.groups.group[layer, head]),
    }
    for place, name in enumerate(HEAD_STATISTICS):
        values = heads.overall[layer, head, place]
        columns[name] = pa.array(values, mask=~np.isfinite(values))
    return pa.table(columns)


def _thousandths(value: float) -> str:
    return str(round(_STEPS * float(value))) if np.isfinite(value) else ""


def _deviation(mean: Float) -> Float:
    """Return how classes differ, (L, H, S); NaN where they do not."""
    known = np.isfinite(mean)
    count = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, mean, 0)
    centre = values.sum(axis=0) / count
    square = (np.where(known, mean - centre, 0) ** 2).sum(axis=0) / count
    return np.where(square > 1e-10, np.sqrt(square), np.nan)


def _group(heads: Heads, number: int) -> Group:
    layer, _ = np.nonzero(heads.groups.group == number)
    present = heads.overall[heads.groups.group >= 0]
    known = np.isfinite(present)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, present, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, present - mean, 0) ** 2).sum(axis=0) / count)
    profile = heads.groups.profile[number]
    far = np.where(np.isfinite(profile) & (spread > 0), np.abs(profile - mean), 0)
    far = far / np.where(spread > 0, spread, 1)
    order = [place for place in np.argsort(-far, kind="stable") if far[place] > 0][:_NAMED]
    names = list(HEAD_STATISTICS)
    traits = ", ".join(
        f"{names[place].replace('_', ' ')} {profile[place]:.2f} ({mean[place]:.2f} in all heads)"
        for place in order
    )
    return Group(number, len(layer), _spans(sorted({*layer.tolist()})), traits)


def _spans(numbers: Sequence[int]) -> str:
    """Return whole numbers in ascending order as ranges: 0–2, 5."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}–{high}" for low, high in spans)
