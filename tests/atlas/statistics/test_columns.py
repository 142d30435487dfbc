import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.atlas.statistics.columns import (
    NO_BIN,
    add_columns,
    atlas_columns,
    bin_codes,
    finish_column,
    quantile,
    shapes,
)
from pipeline.atlas.statistics.histograms import Histograms
from pipeline.atlas.statistics.histograms import merge as merge_histograms
from pipeline.atlas.statistics.membership import CONFIDENT, CONFIDENT_MASS, Members
from pipeline.atlas.statistics.sums import ClassSums, merge
from pipeline.measures import edges
from pipeline.store import Column

CLASSES, N = 3, 400
COLUMNS = atlas_columns(
    [
        Column("gini_flow", "fraction"),
        Column("border_flow", "ratio"),
        Column("mass_flow", "mass"),
        Column("convergence_depth", "count"),
        Column("box_hit_flow", "flag"),
    ]
)
PARTS = np.arange(CLASSES)[:, None]


def unit(seed=0):
    rng = np.random.default_rng(seed)
    values = {
        "gini_flow": rng.random(N),
        "border_flow": np.where(rng.random(N) < 0.1, 0, 2 ** rng.normal(0, 3, N)),
        "mass_flow": np.where(rng.random(N) < 0.1, 0, 10 ** rng.normal(-3, 4, N)),
        "convergence_depth": rng.integers(0, 12, N).astype(float),
        "box_hit_flow": rng.integers(0, 2, N).astype(float),
        "confidence": rng.random(N),
    }
    values["gini_flow"][:4] = 0, 1, 0.5, 1 / 256
    part = pa.table(
        {
            name: pa.array(column.astype(np.float32), mask=rng.random(N) < 0.05)
            for name, column in values.items()
        }
    )
    group = rng.integers(-1, CLASSES, N)
    return part, Members(
        np.arange(N), rng.random(N) > 0.05, np.stack([group, np.full(N, -1)], axis=1), group
    )


def summed(part, members):
    moments = ClassSums(CLASSES, shapes(COLUMNS))
    histograms = Histograms(CLASSES, [len(edges(column.kind)) - 1 for column in COLUMNS])
    histograms.add(members, add_columns(moments, members, part, COLUMNS))
    return moments, histograms


def finished(part, members):
    moments, histograms = summed(part, members)
    return [
        finish_column(
            column, histograms.of_column(j), moments["total"][:, j], moments["square"][:, j]
        )
        for j, column in enumerate(COLUMNS)
    ]


def own_values(part, members, name, group):
    column = part["mass_flow" if name == CONFIDENT_MASS else name].to_numpy()
    used = members.ok & (members.cells[:, 0] == group) & ~np.isnan(column)
    if name == CONFIDENT_MASS:
        used &= part["confidence"].to_numpy() >= CONFIDENT
    return column[used].astype(np.float64)


def test_histograms_equal_numpys():
    part, members = unit()
    for found in finished(part, members):
        scale = np.array(edges(found.column.kind))
        for group in range(CLASSES):
            own = own_values(part, members, found.column.name, group)
            expected = np.histogram(np.clip(own, scale[0], scale[-1]), scale)[0]
            assert found.histogram[group].tolist() == expected.tolist()
            assert expected.sum() == len(own) > 0


def test_moments_equal_two_passes_of_float64():
    part, members = unit()
    for found in finished(part, members):
        kind = found.column.kind
        scale = edges(kind)
        span = {"ratio": 256, "count": 256, "mass": 16}.get(kind, 1)
        for group in range(CLASSES):
            own = own_values(part, members, found.column.name, group)
            own = np.log10(own.clip(scale[0], scale[-1])) if kind == "mass" else own
            own = np.minimum(own, scale[-1])
            assert found.mean[group] == pytest.approx(own.mean(), abs=span * 2.0**-33)
            assert found.variance[group] == pytest.approx(own.var(), abs=span**2 * 2.0**-30)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, N), max_size=4))
def test_any_order_and_any_cut_gives_the_same_bits(random, cuts):
    part, members = unit()
    rows = list(range(N))
    random.shuffle(rows)
    pieces = [np.array(piece, int) for piece in np.split(np.array(rows), sorted(cuts))]
    parts = [summed(part.take(piece), members.take(piece)) for piece in pieces]
    whole, counted = summed(part, members)
    merged = merge([moments for moments, _ in parts])
    for name in whole.shapes:
        assert np.array_equal(whole[name], merged[name]), name
    together = merge_histograms([histograms for _, histograms in parts])
    for j in range(len(COLUMNS)):
        assert np.array_equal(counted.of_column(j), together.of_column(j))


@pytest.mark.parametrize("kind", ["fraction", "ratio", "mass", "count", "flag"])
def test_bins_are_those_of_a_search(kind):
    inner = np.asarray(edges(kind))[1:-1]
    near = inner.astype(np.float32)
    around = [np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf)]
    rng = np.random.default_rng(0)
    anything = rng.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32)
    extreme = np.array([0, -0.0, -1, np.inf, -np.inf], np.float32)
    values = np.concatenate([near, *around, anything[~np.isnan(anything)], extreme])
    expected = np.searchsorted(inner, values.astype(np.float64), side="right")
    assert np.array_equal(bin_codes(values, kind), expected)
    assert bin_codes(np.array([np.nan], np.float32), kind).tolist() == [NO_BIN]


@pytest.mark.parametrize("kind", ["fraction", "ratio", "mass", "count"])
@pytest.mark.parametrize("q", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantiles_are_off_by_at_most_a_bin(kind, q):
    rng = np.random.default_rng(5)
    values = {
        "fraction": rng.beta(2, 5, (2, 999)),
        "ratio": 2 ** rng.normal(0, 2, (2, 999)),
        "mass": 10 ** rng.normal(-4, 1, (2, 999)),
        "count": rng.integers(0, 12, (2, 999)).astype(float),
    }[kind]
    scale = np.array(edges(kind))
    histogram = np.stack([np.histogram(row, scale)[0] for row in values])
    found = bin_codes(quantile(histogram, kind, q), kind).astype(int)
    expected = bin_codes(np.quantile(values, q, axis=1, method="inverted_cdf"), kind)
    assert (np.abs(found - expected) <= 1).all()


def test_each_class_may_have_its_own_quantile():
    histogram = np.tile(np.ones(256, np.int64), (2, 1))
    assert quantile(histogram, "fraction", np.array([0.25, 0.75])).tolist() == [0.25, 0.75]


def test_an_empty_histogram_has_no_quantile():
    assert np.isnan(quantile(np.zeros((1, 256), np.int64), "ratio", 0.5)).all()
