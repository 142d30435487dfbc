import numpy as np
import pytest
import zarr

from pipeline.atlas import aggregate
from pipeline.atlas.storage.layout import FOLDER, clear
from pipeline.measures import edges
from pipeline.store.objects import sizes
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(tmp_path_factory.mktemp("run"), images=130, classes=3, layers=2)
    aggregate(run, tables=("label",), workers=1, k=4)
    return run


def test_plain_zarr_reads_the_group_with_named_dimensions(run):
    group = zarr.open_group(f"{run.uri}/atlas/label.zarr", mode="r")
    axes = {name: array.metadata.dimension_names for name, array in group.arrays()}
    for name in ("mean", "variance", "flow_mean", "flow_variance"):
        assert axes[name] == ("class", "layer", "y", "x")
    assert axes["zero"] == axes["flow_zero"] == ("class", "layer")
    assert axes["column_mean"] == axes["column_variance"] == ("column", "class")
    assert axes["axes"] == ("class", "axis", "pooled_y", "pooled_x")
    assert axes["replicates"] == ("statistic", "class", "replicate")
    assert axes["histogram_ratio"] == ("ratio_column", "class", "ratio_bin")
    assert group.attrs["layers"] == ["blocks.0", "blocks.1"]
    for kind in set(group.attrs["columns"].values()):
        assert np.array_equal(group[f"edges_{kind}"][...], edges(kind))
        named = [name for name, own in group.attrs["columns"].items() if own == kind]
        assert group[f"histogram_{kind}"].attrs["columns"] == named
        assert group[f"histogram_{kind}"].shape[0] == len(named)


def test_a_dimension_has_one_size_so_that_xarray_reads_the_group(run):
    group = zarr.open_group(f"{run.uri}/atlas/label.zarr", mode="r")
    sizes = {}
    for name, array in group.arrays():
        for axis, size in zip(array.metadata.dimension_names, array.shape, strict=True):
            assert sizes.setdefault(axis, size) == size, (name, axis)


def test_typical_images_are_ranked_per_class_and_kind(run):
    table = run.table("atlas/typical.parquet").to_pandas()
    assert set(table["kind"]) == {"typical", "atypical"}
    assert set(table["table"]) == {"label"}
    for (_, kind), own in table.groupby(["class", "kind"]):
        assert own["rank"].tolist() == [0, 1, 2, 3]
        assert own["distance"].is_monotonic_increasing == (kind == "typical")
        assert own["distance"].between(0, 1).all()


def test_clearing_removes_the_atlas_and_nothing_else(tmp_path):
    run = synthetic_run(tmp_path, images=40, classes=2, layers=2)
    before = sizes(run.store, "")
    aggregate(run, workers=1)
    assert sizes(run.store, "atlas")
    clear(run, FOLDER)
    assert sizes(run.store, "") == before
