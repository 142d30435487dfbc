import functools
import random

import numpy as np
import pytest

from pipeline.atlas import aggregate, aggregation, blocks, cluster, fold, open_atlas, tasks
from pipeline.atlas.statistics import histograms
from pipeline.errors import ConfigError, RunIncomplete
from pipeline.store import open_run
from pipeline.store.objects import delete, sizes
from tests.atlas.synthetic import draw, synthetic_run

IMAGES, CLASSES = 150, 5


def small_run(folder, unit_rows=16):
    return synthetic_run(
        folder, IMAGES, CLASSES, seed=3, layers=2, grid=(4, 5), unit_rows=unit_rows
    )


def atlas_bytes(run):
    return {path: run.read(path) for path in sizes(run.store, "atlas")}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = small_run(tmp_path_factory.mktemp("run"))
    aggregate(run, workers=1)
    return run


def test_four_workers_write_the_same_bytes(run, tmp_path):
    before = atlas_bytes(run)
    assert {"atlas/label.parquet", "atlas/predicted.parquet", "atlas/typical.parquet"} < set(before)
    other = small_run(tmp_path)
    aggregate(other, workers=4)
    assert atlas_bytes(other) == before


def test_other_units_write_the_same_bytes(run, tmp_path):
    other = small_run(tmp_path, unit_rows=37)
    aggregate(other, workers=2)
    # The units themselves are to be seen in two places: a chunk for each, and how many there are.
    found, expected = atlas_bytes(other), atlas_bytes(run)
    assert found.keys() - expected.keys() <= {path for path in found if "pooled.zarr/" in path}
    for path in found.keys() & expected.keys():
        if "pooled.zarr/" not in path and not path.endswith("atlas.json"):
            assert found[path] == expected[path], path


def test_shuffled_units_and_another_tree_write_the_same_bytes(run, tmp_path, monkeypatch):
    def scattered(units, count):
        mixed = list(units)
        random.Random(1).shuffle(mixed)
        return [tuple(mixed[:1]), tuple(mixed[1:6]), *((unit,) for unit in mixed[6:])]

    other = small_run(tmp_path)
    monkeypatch.setattr(fold, "stretches", scattered)
    aggregate(other, workers=3)
    assert atlas_bytes(other) == atlas_bytes(run)


def test_doing_it_again_replaces_what_was_there(run, tmp_path):
    other = small_run(tmp_path)
    aggregate(other, k=3, workers=1)
    other.write("atlas/stale.parquet", b"stale")
    aggregate(other, workers=1)
    assert atlas_bytes(other) == atlas_bytes(run)


def test_blocks_of_few_images_and_counters_are_the_same_bytes(run, tmp_path, monkeypatch):
    other = small_run(tmp_path)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 20)
    monkeypatch.setattr(histograms, "KEPT_IMAGES", 3)
    aggregate(other, workers=1)
    assert atlas_bytes(other) == atlas_bytes(run)


def test_tasks_done_twice_are_the_same_bytes(run, tmp_path, monkeypatch):
    def twice(units, leaves, merge, workers):
        found = [leaf((unit,)) for leaf, _ in leaves for unit in units for _ in range(2)][::-2]
        merge(found[0], found[0])
        return functools.reduce(merge, found)

    other = small_run(tmp_path)
    monkeypatch.setattr(aggregation, "fold", twice)
    aggregate(other)
    assert atlas_bytes(other) == atlas_bytes(run)


def test_the_tables_are_those_of_the_images(run):
    drawn = draw(IMAGES, CLASSES, 3, 2, (4, 5), None, 0.25, 0.1)
    ok = drawn.status == 1
    right = drawn.pred == drawn.label
    groups = {
        "label": drawn.label,
        "predicted": drawn.pred,
        "outcome": 2 * drawn.label + ~right,
    }
    for table, group in groups.items():
        atlas = open_atlas(run, table)
        assert len(atlas.names) == (2 if table == "outcome" else 1) * CLASSES
        for number in range(len(atlas.names)):
            own = ok & (group == number)
            assert atlas.count[number] == own.sum()
            if not own.any():
                continue
            assert atlas.accuracy[number] == pytest.approx(right[own].mean())
            flow = run.read_maps(0, IMAGES)[own].astype(np.float64).cumsum(1)
            mass = flow.sum((2, 3), keepdims=True)
            p = np.divide(flow, mass, where=mass > 0, out=np.full(flow.shape, np.nan))
            np.testing.assert_allclose(atlas.mean_flow(number), np.nanmean(p, 0), rtol=1e-6)
            np.testing.assert_allclose(atlas.flow_variance[number], np.nanvar(p, 0), atol=1e-8)
    label = open_atlas(run, "label")
    quarantined = np.bincount(drawn.label[~ok], minlength=CLASSES)
    assert label.n_quarantined.tolist() == quarantined.tolist()


def test_a_subset_is_what_a_run_of_those_images_would_be(tmp_path):
    run = small_run(tmp_path)
    aggregate(run, workers=2, where="confidence > 0.8 and not correct", name="sure-wrong")
    found = run.atlas("sure-wrong")
    images = run.summary().to_table().to_pandas().query("confidence > 0.8 and correct == False")
    assert found.count.tolist() == np.bincount(images.label, minlength=CLASSES).tolist()
    gini = images.groupby("label").gini_flow.mean()
    np.testing.assert_allclose(found.column_mean("gini_flow")[gini.index], gini, rtol=1e-6)
    assert (found.accuracy[gini.index] == 0).all()
    assert found.facts["images"] == len(images)
    assert found.facts["where"] == "confidence > 0.8 and not correct"
    assert run.atlas("predicted", name="sure-wrong").count.sum() == len(images)


def test_groups_are_the_values_of_any_column(tmp_path):
    run = small_run(tmp_path)
    aggregate(run, workers=1)
    own = atlas_bytes(run)
    aggregate(run, workers=2, by="correct")
    found = run.atlas("correct")
    images = run.summary().to_table().to_pandas()
    assert found.table == "correct"
    assert found.names == ("false", "true")
    assert found.count.tolist() == [(images.correct == False).sum(), (images.correct == True).sum()]  # noqa: E712
    gini = images.groupby("correct").gini_flow.mean()
    np.testing.assert_allclose(found.column_mean("gini_flow"), gini, rtol=1e-6)
    aggregate(run, workers=1, by="uri", where="row < 3", name="three")
    assert len(run.atlas("three").names) == IMAGES
    assert run.atlas("three").count.sum() <= 3
    aggregate(run, workers=1)
    remaining = {path: content for path, content in atlas_bytes(run).items() if path in own}
    assert remaining == own
    assert run.atlas("correct").count.tolist() == found.count.tolist()


def test_groups_of_each_class(tmp_path):
    run = small_run(tmp_path)
    aggregate(run, workers=2, by="correct", per="label", name="classes-right")
    found = run.atlas("classes-right")
    images = run.summary().to_table().to_pandas()
    flat = run.table("atlas/classes-right/correct.parquet").to_pandas()
    assert list(zip(flat.class_name, flat.group, strict=True))[:2] == [
        (run.spec.classes[0], "false"),
        (run.spec.classes[0], "true"),
    ]
    for row in flat.itertuples():
        own = images[(images.label == row[1] // 2) & (images.correct == (row.group == "true"))]
        assert row.count == len(own)
        assert found.names[row[1]] == f"{row.class_name}, {row.group}"
        if len(own):
            assert found.column_mean("gini_flow")[row[1]] == pytest.approx(own.gini_flow.mean())


def test_groups_without_a_column_and_too_many_of_them_are_refused(tmp_path, monkeypatch):
    run = small_run(tmp_path)
    with pytest.raises(ConfigError, match="needs by"):
        aggregate(run, per="label")
    monkeypatch.setattr(tasks, "MOST_VALUES", 2 * CLASSES - 1)
    with pytest.raises(ConfigError, match="leave out per"):
        aggregate(run, by="correct", per="label")


def test_the_maps_of_the_label_have_an_atlas_of_their_own(tmp_path):
    run = synthetic_run(tmp_path, IMAGES, CLASSES, layers=2, grid=(4, 5), label_maps=True)
    aggregate(run, workers=1)
    aggregate(run, workers=2, target="label", name="seen-for-label")
    own, other = run.atlas("outcome"), run.atlas("outcome", name="seen-for-label")
    assert (own.facts["target"], other.facts["target"]) == ("predicted", "label")
    np.testing.assert_allclose(other.flow_mean, own.flow_mean[..., ::-1], atol=1e-6)
    np.testing.assert_allclose(other.variance, own.variance[..., ::-1], atol=1e-6)
    assert other.column_mean("gini_flow").tolist() == own.column_mean("gini_flow").tolist()


def test_a_run_without_maps_of_the_label_is_refused(run):
    with pytest.raises(RunIncomplete, match=r"flow\.target: both"):
        aggregate(run, target="label", name="x")


def test_a_table_that_was_not_requested_does_not_exist(tmp_path):
    run = small_run(tmp_path)
    aggregate(run, tables=("predicted",), workers=1)
    assert run.atlas().table == "predicted"
    with pytest.raises(RunIncomplete, match="no atlas by label"):
        run.atlas("label")


def test_an_unfinished_run_is_not_aggregated(tmp_path):
    run = small_run(tmp_path)
    delete(run.store, "_SUCCESS")
    with pytest.raises(RunIncomplete, match="run flowatlas flows CONFIG again"):
        aggregate(open_run(str(tmp_path)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tables": ("target",)}, "unknown tables"),
        ({"tables": ()}, "choose from label, predicted"),
        ({"where": "correct"}, "needs a name"),
        ({"target": "label"}, "needs a name"),
        ({"where": "corect", "name": "x"}, "did you mean correct"),
        ({"by": "camera"}, "no column 'camera'"),
        ({"by": "split"}, "has no values"),
        ({"by": "split", "name": "label"}, "is a table of every atlas"),
        ({"name": "../x"}, "cannot be named"),
        ({"name": "a.zarr"}, "cannot be named"),
        ({"k": 0}, "must be at least 1"),
        ({"workers": 0}, "must be at least 1"),
    ],
)
def test_wrong_arguments_are_errors(run, arguments, message):
    with pytest.raises(ConfigError, match=message):
        aggregate(run, **arguments)


def test_processes_of_a_cluster_write_the_same_bytes(run, tmp_path):
    distributed = pytest.importorskip("distributed")
    other = small_run(tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as workers,
        cluster(workers.scheduler_address),
    ):
        aggregate(other)
        whole = atlas_bytes(other)
        aggregate(other, where="correct and confidence > 0.6", by="label", name="right")
    assert whole == atlas_bytes(run)
    again = small_run(tmp_path / "again")
    aggregate(again, where="correct and confidence > 0.6", by="label", name="right", workers=1)
    named = {path: other.read(path) for path in other.list("atlas/right")}
    assert named == {path: again.read(path) for path in again.list("atlas/right")}


def test_what_cannot_be_meant_is_refused(tmp_path):
    run = small_run(tmp_path)
    with pytest.raises(ConfigError, match=r"no image passes the filter 'confidence > 2'"):
        aggregate(run, where="confidence > 2", name="none", workers=1)
    with pytest.raises(ConfigError, match=r"no atlas 'none'"):
        run.atlas(name="none")
    assert not run.list("atlas/none")
    with pytest.raises(ConfigError, match=r"confidence is a measure.*--where"):
        aggregate(run, by="confidence")
    with pytest.raises(ConfigError, match=r"'correkt' to group by; did you mean correct\?"):
        aggregate(run, by="correkt")
    with pytest.raises(ConfigError, match="workers is 0; it must be at least 1"):
        aggregate(run, workers=0)
    with pytest.raises(ConfigError, match="--name"):
        aggregate(run, where="correct")


def weighted(folder, unit_rows=32, workers=2, copied=(2, 30)):
    run = synthetic_run(
        folder,
        300,
        4,
        seed=5,
        layers=2,
        grid=(4, 5),
        unit_rows=unit_rows,
        hashes=True,
        copied=copied,
    )
    aggregate(run, workers=workers, weights="commonness")
    return run


def test_weights_give_the_same_bytes_for_any_workers_and_units(tmp_path, monkeypatch):
    run = weighted(tmp_path / "one", workers=1)
    expected = atlas_bytes(run)
    assert atlas_bytes(weighted(tmp_path / "four", workers=4)) == expected
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 20)
    monkeypatch.setattr(histograms, "KEPT_IMAGES", 3)
    assert atlas_bytes(weighted(tmp_path / "blocks")) == expected
    found = atlas_bytes(weighted(tmp_path / "units", unit_rows=37))
    for path in found.keys() & expected.keys():
        if ".zarr/" not in path.removeprefix("atlas/label.zarr/") and "atlas.json" not in path:
            assert found[path] == expected[path], path


def test_thirty_copies_count_as_one_image_in_every_statistic(tmp_path):
    """Against a plain definition from the summary and the maps, with weights 1 and 1/30."""
    run = weighted(tmp_path)
    atlas, drawn = run.atlas("label"), draw(300, 4, 5, 2, (4, 5), None, 0.25, 0.1)
    own = (drawn.label == 2) & (drawn.status == 1)
    rows = np.flatnonzero(own)
    weight = np.ones(len(rows))
    weight[:30] = 1 / 30
    assert atlas.count[2] == len(rows)
    assert atlas.weight[2] == pytest.approx(len(rows) - 29, abs=1e-3)
    assert atlas.kish[2] == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), rel=1e-4)
    assert atlas.weight[[0, 1, 3]].tolist() == atlas.count[[0, 1, 3]].tolist()
    assert atlas.kish[0] == atlas.count[0]

    flow = run.read_maps(0, 300)[rows].astype(np.float64).cumsum(1)
    mass = flow.sum((2, 3), keepdims=True)
    known = mass[:, -1, 0, 0] > 0
    p = flow[known, -1] / mass[known, -1]
    mean = np.average(p, axis=0, weights=weight[known])
    np.testing.assert_allclose(atlas.flow_mean[2, -1], mean, atol=1e-5)
    variance = np.average((p - mean) ** 2, axis=0, weights=weight[known])
    np.testing.assert_allclose(atlas.flow_variance[2, -1], variance, atol=1e-5)
    assert atlas.weight_with_mass[2] == pytest.approx(weight[known].sum(), abs=0.5)

    images = run.summary().to_table().to_pandas().set_index("row").loc[rows]
    corner = images["corner_tl_flow"].to_numpy()
    fine = ~np.isnan(corner)
    expected = np.average(corner[fine], weights=weight[fine])
    assert atlas.column_mean("corner_tl_flow")[2] == pytest.approx(expected, abs=1e-4)
    assert atlas.accuracy[2] == pytest.approx(
        np.average(images["correct"].astype(float), weights=weight), abs=1e-5
    )
    histogram = atlas.histogram("corner_tl_flow")[2]
    assert histogram.sum() == pytest.approx(weight[fine].sum(), abs=1e-3)
    assert histogram[np.searchsorted(atlas.edges("corner_tl_flow"), 15) :].sum() == (
        pytest.approx(1, abs=1e-3)
    )
    assert atlas.quantile("corner_tl_flow", 0.5)[2] < 4  # without weights the copies are the median
    low, high = atlas.interval("border_flow")
    assert low[2] < atlas.column_mean("border_flow")[2] < high[2]
    assert atlas.scores[2].sum() == pytest.approx(weight[known].sum(), abs=1e-3)


def test_copies_are_shown_and_drawn_once(tmp_path):
    run = weighted(tmp_path)
    rows = np.flatnonzero(np.asarray(run.index()["label"]) == 2)
    same = run.summary().to_table(columns=["row", "phash"]).to_pandas().set_index("row")["phash"]
    atlas = run.atlas("label")
    shown, _ = atlas.atypical(2, 16)
    assert same[shown].duplicated().sum() == 0
    drawn, _ = atlas.sample(2)
    assert set(drawn) <= set(rows)  # as many as there are, for the class is small


def test_without_copies_weights_change_nothing(tmp_path):
    run = weighted(tmp_path / "weighted", copied=None)
    plain = synthetic_run(
        tmp_path / "plain", 300, 4, seed=5, layers=2, grid=(4, 5), unit_rows=32, hashes=True
    )
    aggregate(plain, workers=2)
    one, other = run.atlas("label"), plain.atlas("label")
    for name in ("mean", "flow_variance", "pooled_mean", "axes", "scores", "accuracy", "weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("corner_tl_flow", "gini_flow", "mass_flow"):
        np.testing.assert_array_equal(one.histogram(name), other.histogram(name))
        np.testing.assert_array_equal(one.column_mean(name), other.column_mean(name))
    np.testing.assert_array_equal(one.replicates("accuracy"), other.replicates("accuracy"))


def test_weights_of_an_unfinished_run_or_without_hashes_are_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="every image"):
        aggregate(run, weights="commonness", partial_run=True, name="some")
    with pytest.raises(RunIncomplete, match="neither perceptual hashes"):
        aggregate(run, weights="commonness", name="some")
