"""A run and its atlas can be read by other programs, without this package."""

import numpy as np
import pytest

from pipeline.atlas import aggregate
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(tmp_path_factory.mktemp("run"), images=150, classes=3, layers=2)
    aggregate(run, workers=1)
    return run


def test_xarray_opens_flows_lazily_and_tables_by_name(run):
    xarray = pytest.importorskip("xarray")
    flows = xarray.open_zarr(f"{run.uri}/flows.zarr", consolidated=False)
    maps = flows["maps"].astype("float32") * flows["scale"]
    assert maps.dims == ("image", "layer", "y", "x")
    assert np.array_equal(maps[7:9].values, run.read_maps(7, 9))
    atlas = xarray.open_zarr(f"{run.uri}/atlas/label.zarr", consolidated=False)
    atlas = atlas.assign_coords({"class": atlas.attrs["classes"]})
    flow = atlas["flow_mean"].sel({"class": "class 2"})
    assert flow.dims == ("layer", "y", "x")
    assert np.array_equal(flow.values, run.atlas().mean_flow("class 2"))
    assert atlas["axes"].dims == ("class", "axis", "pooled_y", "pooled_x")


def test_duckdb_joins_summary_index_and_atlas(run):
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(
        f"""
        select a.name, a.accuracy, avg(s.correct::int) as accuracy_here, count(i.uri) as images
        from '{run.uri}/summary/*.parquet' s
        join '{run.uri}/index/*.parquet' i using (row)
        join '{run.uri}/atlas/label.parquet' a on a.class = s.label
        where s.status = 1 group by all order by a.name
        """
    ).df()
    assert found["name"].tolist() == ["class 0", "class 1", "class 2"]
    np.testing.assert_allclose(found["accuracy"], found["accuracy_here"])
    assert found["images"].tolist() == run.atlas().count.tolist()


def test_pandas_reads_the_summary_and_the_classes(run):
    pandas = pytest.importorskip("pandas")
    images = pandas.read_parquet(f"{run.uri}/summary")
    classes = pandas.read_parquet(f"{run.uri}/atlas/label.parquet").set_index("class")
    gini = images[images["status"] == 1].groupby("label")["gini_flow"].mean()
    np.testing.assert_allclose(classes["gini_flow_mean"], gini, rtol=1e-6)
    assert (classes["accuracy_low"] <= classes["accuracy"]).all()
    typical = pandas.read_parquet(f"{run.uri}/atlas/typical.parquet")
    assert set(typical["table"]) == {"label", "predicted", "outcome"}


def test_polars_scans_the_summary(run):
    polars = pytest.importorskip("polars")
    images = polars.scan_parquet(f"{run.uri}/summary/*.parquet")
    found = images.group_by("label").agg(polars.len()).sort("label").collect()
    assert found["len"].sum() == 150


def test_plain_numpy_reads_the_pooled_maps_of_all_images(run):
    zarr = pytest.importorskip("zarr")
    pooled = zarr.open_array(f"{run.uri}/atlas/pooled.zarr", mode="r")
    assert pooled.shape == (150, 6, 6)
    rows, maps = run.atlas().sample("class 0")
    assert np.array_equal(pooled.oindex[np.sort(rows)] / 2**15, maps[np.argsort(rows)])
