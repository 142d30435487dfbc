import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.atlas import CONFIDENT_MASS
from pipeline.atlas.statistics.binning import bin_codes, quantile
from pipeline.measures import columns, edges
from pipeline.report.pages.measures import (
    Measurement,
    Span,
    meaning,
    measure,
    read_spans,
    whole_columns,
)
from pipeline.report.pages.quantiles import Quantiles

KINDS = ("fraction", "ratio", "mass", "count", "flag")


def spanned(values: np.ndarray, kind: str) -> Span:
    codes = bin_codes(values.astype(np.float32), kind)
    counts = np.bincount(codes, minlength=len(edges(kind)) - 1)[None]
    low, middle, high = (float(quantile(counts, kind, q)[0]) for q in (0.1, 0.5, 0.9))
    return Span(low, middle, high, len(values))


@given(
    st.sampled_from(KINDS),
    st.lists(st.floats(0, 1, width=32) | st.integers(0, 9).map(float), min_size=20, max_size=200),
    st.data(),
)
def test_at_most_a_tenth_of_the_class_is_as_far_out_as_what_is_marked(kind, values, data):
    values = np.asarray(values)
    value = data.draw(st.sampled_from(values.tolist()) | st.floats(0, 12, width=32))
    side = measure("mass_flow", kind, value, spanned(values, kind), ()).side
    if side == "upper":
        assert (values >= value).mean() <= 0.1
    elif side == "lower":
        assert (values <= value).mean() <= 0.1
    else:
        assert side == ""


def test_what_is_far_out_is_marked():
    span = spanned(np.linspace(0.2, 0.8, 200), "fraction")
    sides = [measure("x", "fraction", value, span, ()).side for value in (0.1, 0.5, 0.9)]
    assert sides == ["lower", "", "upper"]


@pytest.mark.parametrize("kind", ["ratio", "mass", "fraction", "count"])
def test_nothing_is_no_less_than_nothing(kind):
    assert measure("x", kind, 0.0, spanned(np.zeros(50), kind), ()).side == ""


def test_among_few_images_nothing_stands_out():
    span = spanned(np.full(19, 0.5), "fraction")
    assert measure("x", "fraction", 0.9, span, ()).side == ""
    more = spanned(np.full(20, 0.5), "fraction")
    assert measure("x", "fraction", 0.9, more, ()).side == "upper"


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_not_defined_is_nowhere(value):
    measured = measure("x", "fraction", value, Span(0.1, 0.2, 0.3, 50), (3,))
    assert math.isnan(measured.value)
    assert measured.drawn is None
    assert measured.side == ""
    assert measure("x", "fraction", 0.5, Span(), ()).side == ""


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3).map(sorted), st.floats(-1e6, 1e6))
def test_a_line_has_room_for_all_marks_in_their_order(ends, value):
    drawn = Measurement("x", "", value, *ends, "", ()).drawn
    assert drawn is not None
    assert 12.5 <= min(drawn) <= max(drawn) <= 87.5
    marks = (*ends, value)
    for a, place in zip(marks, drawn, strict=True):
        for b, other in zip(marks, drawn, strict=True):
            assert (a <= b) <= (place <= other)
    if len(set(marks)) == 1:
        assert set(drawn) == {50.0}


def test_every_measure_of_an_image_has_its_words():
    extras = ("prefix_mass", "readout_rank", "patch_rank", "residual", "token_norm")
    every = columns(2, boxes=True, extras=extras, label_maps=True)
    assert all(meaning(name) for name in (*every, "brightness", "contrast", "sharpness"))
    assert meaning("gini_l01") == f"{meaning('gini_flow')}, of layer 1"
    assert meaning("entropy_l01") == f"{meaning('entropy_flow')}, accumulated up to layer 1"
    assert meaning("something_new") == ""


def test_columns_of_layers_are_left_out():
    every = columns(120, boxes=True, extras=("prefix_mass",), label_maps=True)
    whole = whole_columns([*every, "confidence", CONFIDENT_MASS])
    assert {"mass_flow", "box_area", "convergence_depth", "confidence"} <= set(whole)
    assert not any(name.startswith(("share", "prefix", "label")) for name in whole)
    assert CONFIDENT_MASS not in whole
    assert not any("_l0" in name or "_l1" in name for name in whole)


def test_spans_are_the_quantiles_of_the_class(run):
    atlas = run.atlas("label")
    quantiles = Quantiles(run, atlas)
    spans = read_spans(quantiles, ("mass_flow", "convergence_depth"), (5, 1))
    assert len(spans) == 4
    for (column, number), span in spans.items():
        for q, found in zip((0.1, 0.5, 0.9), (span.low, span.middle, span.high), strict=True):
            assert found == quantiles.of(column, q)[0][number]
        assert span.images == atlas.histogram(column)[number].sum()
