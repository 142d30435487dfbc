import numpy as np
import pytest

from pipeline.atlas import aggregate, open_atlas
from pipeline.errors import ConfigError, RunIncomplete
from tests.atlas.synthetic import synthetic_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = synthetic_run(tmp_path_factory.mktemp("run"), images=120, classes=3, layers=2)
    aggregate(run, tables=("label",), workers=1, k=5)
    return run


@pytest.fixture(scope="module")
def atlas(run):
    return run.atlas()


def test_shapes(atlas):
    assert atlas.classes.tolist() == [0, 1, 2]
    assert atlas.names == ("class 0", "class 1", "class 2")
    for maps in (atlas.mean, atlas.variance, atlas.flow_mean, atlas.flow_variance):
        assert maps.shape == (3, 2, 6, 6)
    np.testing.assert_allclose(atlas.mean.sum((2, 3)), 1, atol=1e-6)
    assert atlas.zero.shape == (3, 2)
    assert np.array_equal(atlas.mean_flow("class 1"), atlas.flow_mean[1])
    assert repr(atlas) == f"Atlas('label', 3 classes, {atlas.count.sum()} images)"


def test_columns_follow_the_summary(run, atlas):
    images = run.summary().to_table().to_pandas()
    images = images[(images.status == 1) & (images.label == 2)]
    assert atlas.columns["gini_flow"] == "fraction"
    values = images["gini_flow"].dropna().to_numpy(np.float64)
    assert atlas.column_mean("gini_flow")[2] == pytest.approx(values.mean(), abs=1e-9)
    assert abs(atlas.quantile("gini_flow", 0.5)[2] - np.median(values)) < 2 / 256
    counts = np.histogram(values, atlas.edges("gini_flow"))[0]
    assert atlas.histogram("gini_flow")[2].tolist() == counts.tolist()
    mass = images["mass_flow"].to_numpy(np.float64).clip(1e-12)
    assert atlas.column_mean("mass_flow")[2] == pytest.approx(np.exp(np.log(mass).mean()))
    mean, variance, number = atlas.column_moments("mass_flow")
    assert 10 ** mean[2] == pytest.approx(atlas.column_mean("mass_flow")[2])
    assert variance[2] == pytest.approx(np.log10(mass).var())
    assert number[2] == len(mass)


def test_the_flat_table_has_one_row_per_class(run, atlas):
    flat = run.table("atlas/label.parquet").to_pandas()
    assert flat["class"].tolist() == [0, 1, 2]
    assert np.array_equal(flat["border_flow_median"], atlas.quantile("border_flow", 0.5))
    assert np.array_equal(flat["mass_flow_mean"], atlas.column_mean("mass_flow"))
    assert np.array_equal(flat["count"], atlas.count)
    assert not [name for name in flat.columns if "_l0" in name]


def test_typical_images_come_nearest_first(run, atlas):
    rows, distances = atlas.typical("class 1", 4)
    assert len(rows) == 4
    assert (np.diff(distances) >= 0).all()
    far, farther = atlas.atypical(1)
    assert len(far) == 5
    assert (np.diff(farther) <= 0).all()
    assert distances.max() < farther.min()
    label = run.index()["label"].to_numpy()
    assert (label[rows] == 1).all()
    assert (label[far] == 1).all()


def test_a_sample_is_of_the_class_and_its_maps_are_pooled(run, atlas):
    rows, maps = atlas.sample("class 1")
    label = run.index()["label"].to_numpy()
    assert (label[rows] == 1).all()
    assert len(rows) == atlas.count[1] - atlas.n_zero[1]
    flow = run.read_maps(0, 120).sum(1)[rows].astype(np.float64)
    np.testing.assert_allclose(maps, flow / flow.sum((1, 2), keepdims=True), atol=2.0**-15)
    np.testing.assert_allclose(atlas.pooled_mean[1], maps.mean(0), atol=1e-9)


def test_axes_intervals_and_similarity(atlas):
    assert atlas.axes.shape == (3, 3, 6, 6)
    assert (np.diff(atlas.axis_explained, axis=1) <= 0).all()
    assert atlas.scores.sum() == (atlas.count - atlas.n_zero).sum()
    assert ((atlas.bimodality > 0) & (atlas.bimodality <= 1)).all()
    assert atlas.similarity().shape == (3, 3)
    assert atlas.replicates("accuracy").shape == (3, 100)
    for statistic, value in (
        ("accuracy", atlas.accuracy),
        ("mass_flow", atlas.column_mean("mass_flow")),
        ("confidence", atlas.column_mean("confidence")),
    ):
        low, high = atlas.interval(statistic)
        assert ((low <= value) & (value <= high)).all()


def test_what_is_not_there_is_an_error(run, atlas, monkeypatch):
    with pytest.raises(ConfigError, match="no table and no atlas 'target'"):
        open_atlas(run, "target")
    with pytest.raises(ConfigError, match="'entropy_l00' was not replicated; choose from accuracy"):
        atlas.interval("entropy_l00")
    with pytest.raises(RunIncomplete, match=r"no atlas by predicted.*flowatlas aggregate"):
        open_atlas(run, "predicted")
    with pytest.raises(ConfigError, match="no class 'zebra'"):
        atlas.mean_flow("zebra")
    with pytest.raises(ConfigError, match="did you mean class 1"):
        atlas.mean_flow("Class1")
    monkeypatch.setattr(atlas, "names", ("crane", "owl", "crane"))
    with pytest.raises(ConfigError, match=r"classes \[0, 2\] are all named 'crane'"):
        atlas.mean_flow("crane")
    assert atlas.mean_flow(2).shape == atlas.mean_flow("owl").shape
    with pytest.raises(ConfigError, match="no class 3"):
        atlas.typical(3)
    with pytest.raises(ConfigError, match="no column 'colour'"):
        atlas.quantile("colour", 0.5)
