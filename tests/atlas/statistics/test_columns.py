from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.atlas.statistics.axes import Axes
from pipeline.atlas.statistics.block import SummaryBlock
from pipeline.atlas.statistics.columns import (
    Columns,
    atlas_columns,
    finish_column,
    flat_columns,
)
from pipeline.atlas.statistics.histograms import Histograms
from pipeline.atlas.statistics.membership import CONFIDENT, CONFIDENT_MASS, Members
from pipeline.atlas.statistics.sums import ONE, ClassSums
from pipeline.atlas.statistics.table import Table
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
    statistic = Columns(COLUMNS)
    sums = statistic.empty(CLASSES)
    statistic.add(sums, SummaryBlock(members, part))
    return sums["moments"], sums["histograms"]


def everything(histograms):
    return list(histograms.of_columns(range(len(COLUMNS))))


def finished(part, members):
    moments, histograms = summed(part, members)
    return [
        finish_column(column, counts, moments["total"][:, j], moments["square"][:, j])
        for j, (column, counts) in enumerate(zip(COLUMNS, everything(histograms), strict=True))
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
    merged = ClassSums.merged([moments for moments, _ in parts])
    for name in whole.shapes:
        assert np.array_equal(whole[name], merged[name]), name
    together = Histograms.merged([histograms for _, histograms in parts])
    for one, other in zip(everything(counted), everything(together), strict=True):
        assert np.array_equal(one, other)


def test_a_column_has_its_mean_and_quantiles_and_a_mass_its_geometric_mean():
    histogram = np.zeros((1, 256), np.uint32)
    histogram[0, 128] = 10
    log_mass = np.array([round(10 * -4 / 16 * ONE)])
    square = np.array([round(10 * (4 / 16) ** 2 * ONE)])
    found = flat_columns(finish_column(Column("mass_flow", "mass"), histogram, log_mass, square))
    np.testing.assert_allclose(found["mass_flow_mean"], 1e-4, rtol=1e-6)
    assert set(found) == {f"mass_flow_{end}" for end in ("mean", "p10", "median", "p90")}
    assert found["mass_flow_p10"] <= found["mass_flow_median"] <= found["mass_flow_p90"]


def test_a_flag_has_a_mean_alone():
    histogram = np.array([[1, 3]], np.uint32)
    sums = np.array([3 * ONE])
    found = flat_columns(finish_column(Column("box_hit_flow", "flag"), histogram, sums, sums))
    assert found.keys() == {"box_hit_flow_mean"}
    assert found["box_hit_flow_mean"].tolist() == [0.75]


@pytest.mark.parametrize(("most", "dtype"), [(65_535, "uint16"), (65_536, "uint32")])
def test_counters_hold_the_largest_class(most, dtype):
    statistic = Columns(COLUMNS)
    sums = statistic.empty(CLASSES)
    sums["moments"].count[1] = most
    sums["moments"].present[1] = True
    axes = Axes(*[np.zeros(0)] * 5)
    table = Table("label", zarr.open_group(zarr.storage.MemoryStore()), PARTS, axes)
    with ThreadPoolExecutor(1) as threads:
        statistic.write(sums, [table], threads)()
    assert table.group["histogram_fraction"].dtype == dtype
