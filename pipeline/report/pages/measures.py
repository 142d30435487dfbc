"""The measures of one image compared with the quantiles of its class."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.atlas import CONFIDENT_MASS
from pipeline.atlas.statistics.binning import bin_codes
from pipeline.audit.stats.estimates import LEAST_IMAGES
from pipeline.report.pages.quantiles import Quantiles

_QUANTILES = (0.1, 0.5, 0.9)
_OF_A_LAYER = re.compile(r"(.+)_l(\d{2,})")
_MARGIN, _INNER = 12.5, 75.0  # per cent of a line: what stays free at each end, and what not

_MEANINGS = {
    "mass": "how much evidence there is: the sum of the map",
    "entropy": "how evenly it is spread; 1 is uniform",
    "gini": "how unequal the cells are; 0 is uniform",
    "area90": "least share of the cells that holds 90 % of it",
    "centroid_y": "height of its centre, from 0 (top) to 1",
    "centroid_x": "its centre from 0 (left) to 1 (right)",
    "spread": "variance around its centre, at most 0.5",
    "anisotropy": "how elongated it is; 1 is round",
    "border": "its mass in the outermost ring ÷ that of a uniform map",
    "centre": "its mass in the middle ÷ that of a uniform map",
    "corner_tl": "its mass in the top-left corner ÷ that of a uniform map",
    "corner_tr": "its mass in the top-right corner ÷ that of a uniform map",
    "corner_bl": "its mass in the bottom-left corner ÷ that of a uniform map",
    "corner_br": "its mass in the bottom-right corner ÷ that of a uniform map",
    "box_energy": "share of it inside the object's boxes",
    "box_lift": "the same, divided by the area of the boxes",
    "box_hit": "1 if it is brightest inside a box",
    "box_area": "share of the input that the boxes cover",
    "share": "share of all mass",
    "readout_rank": "1 − rank of the class ÷ classes, at what the classifier reads",
    "patch_rank": "1 − rank of the class ÷ classes, the mean over the patches",
    "residual": "relative residual of the layer's inversion; 0 is exact",
    "prefix_mass": "share of the attention on tokens that are not cells",
    "label_jsd": "divergence from the flow of the label, up to 1",
    "depth_centre": "mean depth of the mass, from 0 (first layer) to 1",
    "convergence_depth": "first layer from which it hardly changes",
    "known_depth": "first layer from which the class is the most likely one",
    "sink_cells": "cells whose tokens are far longer than the others",
    "brightness": "mean luma of the input; 1 is white",
    "contrast": "of the input, from 0 to 1",
    "sharpness": "of the input; noise has 20",
    "confidence": "probability that the model gives its answer",
}


_ACCUMULATED = {"entropy", "label_jsd"}  # of a layer's columns: those of all layers up to it


@dataclass(frozen=True)
class Measurement:
    """One measure of an image and the quantiles of its class; NaN where it is undefined."""

    column: str
    meaning: str
    value: float
    low: float
    middle: float
    high: float
    side: str
    """``lower`` or ``upper`` if the value is outside the middle 80 % of the class, else empty."""
    named_by: tuple[int, ...]
    """Findings that rest on it."""

    @property
    def drawn(self) -> tuple[float, float, float, float] | None:
        """Places of low, middle, high and value on a line from 0 to 100; None of undefined ones."""
        marks = (self.low, self.middle, self.high, self.value)
        if not all(map(math.isfinite, marks)):
            return None
        start, span = min(marks), max(marks) - min(marks)
        shares = ((mark - start) / span if span else 0.5 for mark in marks)
        low, middle, high, value = (round(_MARGIN + _INNER * share, 2) for share in shares)
        return low, middle, high, value


@dataclass(frozen=True)
class Span:
    """Quantiles (0.1, 0.5, 0.9) of a column for one class, and the images they rest on."""

    low: float = math.nan
    middle: float = math.nan
    high: float = math.nan
    images: int = 0


def whole_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that are of an image as a whole, not of one layer."""
    return tuple(
        name for name in columns if name != CONFIDENT_MASS and not _OF_A_LAYER.fullmatch(name)
    )


def read_spans(
    quantiles: Quantiles, columns: Iterable[str], classes: Sequence[int]
) -> dict[tuple[str, int], Span]:
    """Return the spans of columns for some classes, by column and class."""
    spans = {}
    for column in columns:
        levels = quantiles.of(column, *_QUANTILES)[:, list(classes)].tolist()
        images = quantiles.images(column)[list(classes)].tolist()
        for number, *span in zip(classes, *levels, images, strict=True):
            spans[column, number] = Span(*span)
    return spans


def measure(
    column: str, kind: str, value: float | None, span: Span, named_by: tuple[int, ...]
) -> Measurement:
    """Return a value with the span of its class; of a class of few images it is on no side."""
    known = math.nan if value is None else float(value)
    side = "" if span.images < LEAST_IMAGES else _side(known, span, kind)
    ends = span.low, span.middle, span.high
    return Measurement(column, meaning(column), known, *ends, side, named_by)


def meaning(column: str) -> str:
    """Return what a column measures; nothing for one that is not known."""
    layer = _OF_A_LAYER.fullmatch(column)
    words = _MEANINGS.get(layer[1] if layer else column.removesuffix("_flow"), "")
    if not layer or not words:
        return words
    which = "accumulated up to" if layer[1] in _ACCUMULATED else "of"
    return f"{words}, {which} layer {int(layer[2])}"


def _side(value: float, span: Span, kind: str) -> str:
    """Return on which side of the middle 80 % a value is; in the bin of a quantile on none."""
    marks = np.asarray([value, span.low, span.high], np.float32)
    if not np.isfinite(marks).all():
        return ""
    at, least, most = bin_codes(marks, kind).tolist()
    return "lower" if at < least else "upper" if at > most else ""
