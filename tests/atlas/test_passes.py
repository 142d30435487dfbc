import random

import numpy as np
import pytest

from pipeline.atlas import aggregate, fold, open_atlas
from pipeline.atlas.columns import atlas_columns
from pipeline.atlas.passes import column_groups
from pipeline.errors import ConfigError, RunIncomplete
from pipeline.store import Column, open_run
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
    assert atlas_bytes(other) == atlas_bytes(run)


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


def test_histograms_in_many_passes_are_the_same_bytes(run, tmp_path, monkeypatch):
    other = small_run(tmp_path)
    monkeypatch.setattr("pipeline.atlas.passes.STATE_BYTES", 100_000)
    aggregate(other, workers=1)
    assert atlas_bytes(other) == atlas_bytes(run)


def test_the_tables_are_those_of_the_images(run):
    drawn = draw(IMAGES, CLASSES, 3, 2, (4, 5), None, 0.25, 0.1)
    ok = drawn.status == 1
    for table, group in (("label", drawn.label), ("predicted", drawn.pred)):
        atlas = open_atlas(run, table)
        right = drawn.pred == drawn.label
        for number in range(CLASSES):
            own = ok & (group == number)
            assert atlas.count[number] == own.sum()
            assert atlas.accuracy[number] == pytest.approx(right[own].mean())
            flow = run.read_maps(0, IMAGES)[own].astype(np.float64).cumsum(1)
            mass = flow.sum((2, 3), keepdims=True)
            p = np.divide(flow, mass, where=mass > 0, out=np.full(flow.shape, np.nan))
            np.testing.assert_allclose(atlas.mean_flow(number), np.nanmean(p, 0), atol=2.0**-33)
    label = open_atlas(run, "label")
    quarantined = np.bincount(drawn.label[~ok], minlength=CLASSES)
    assert label.n_quarantined.tolist() == quarantined.tolist()


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
        ({"k": 0}, "must be at least 1"),
        ({"workers": 0}, "must be at least 1"),
    ],
)
def test_wrong_arguments_are_errors(run, arguments, message):
    with pytest.raises(ConfigError, match=message):
        aggregate(run, **arguments)


def test_columns_are_cut_into_groups_that_fit():
    columns = atlas_columns([Column(f"gini_l{i:02d}", "fraction") for i in range(10)])
    each = 8 * 100 * 258
    groups = list(column_groups(columns, 100, 3 * each))
    assert [len(group.columns) for group in groups] == [3, 3, 3, 3]
    assert sum((group.columns for group in groups), ()) == columns
    assert len(list(column_groups(columns, 100, 1))) == len(columns)
