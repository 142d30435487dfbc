import numpy as np
import pytest

from pipeline.atlas import aggregate, aggregation, fold, tasks
from pipeline.errors import RunIncomplete
from pipeline.store import open_run
from pipeline.store.layout import receipt_path, summary_path
from pipeline.store.objects import delete, sizes
from tests.atlas.synthetic import synthetic_run

UNITS = range(10)


def make(folder, missing=()):
    """A run that lacks some units, and what they consist of."""
    run = synthetic_run(folder, 150, 5, seed=3, layers=2, grid=(4, 5), unit_rows=16)
    units = {}
    for unit in missing:
        paths = *run.spec.shard_paths(unit).values(), summary_path(unit), receipt_path(unit)
        units[unit] = {path: run.read(path) for path in paths}
        for path in reversed(paths):
            delete(run.store, path)
    if missing:
        delete(run.store, "_SUCCESS")
    return open_run(str(folder)), units


def add(run, units, *wanted):
    """Put units back; with the last of them the run is finished."""
    for unit in wanted:
        for path, content in units.pop(unit).items():
            run.write(path, content)
    if not units:
        run.write("_SUCCESS", b"")


def atlas_bytes(run):
    return {path: run.read(path) for path in sizes(run.store, "atlas")}


@pytest.fixture
def read(monkeypatch):
    """Units whose maps are read, in order of time."""
    seen = []

    def fold_and_note(units, leaves, merge, workers):
        if any(leaf.func is tasks.add_flows for leaf, _ in leaves):
            seen.append([unit.id for unit in units])
        return fold.fold(units, leaves, merge, workers)

    monkeypatch.setattr(aggregation, "fold", fold_and_note)
    return seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run, _ = make(tmp_path_factory.mktemp("whole"))
    aggregate(run, workers=1)
    return run


def test_a_grown_run_folds_new_units_only_and_is_the_same_bytes(whole, tmp_path, read):
    run, units = make(tmp_path, missing=(2, 3, 7, 9))
    aggregate(run, workers=2, partial_run=True)
    assert not run.atlas().facts["complete"]
    add(run, units, 7, 2)
    aggregate(run, workers=1, partial_run=True)
    add(run, units, 3, 9)
    aggregate(run, workers=2)
    assert read == [[0, 1, 4, 5, 6, 8], [2, 7], [3, 9]]
    assert atlas_bytes(run) == atlas_bytes(whole)


def test_a_partial_atlas_is_that_of_its_units(whole, tmp_path):
    run, _ = make(tmp_path, missing=(0, 9))
    aggregate(run, workers=1, partial_run=True)
    images = whole.summary().to_table().to_pandas()
    images = images[(images.row >= 16) & (images.row < 144) & (images.status == 1)]
    found = run.atlas()
    assert found.count.tolist() == np.bincount(images.label, minlength=5).tolist()
    rows, _ = found.typical(2)
    assert set(rows) <= set(images.row[images.label == 2])


def test_a_state_of_other_data_is_discarded(whole, tmp_path, read):
    run, units = make(tmp_path, missing=(4,))
    aggregate(run, workers=1, partial_run=True)
    receipt = run.read("receipts/00000001.json")
    own = receipt.index(b'"blake2b": "') + 12
    run.write("receipts/00000001.json", receipt[:own] + b"0" * 32 + receipt[own + 32 :])
    add(run, units, 4)
    aggregate(run, workers=1)
    assert read[1] == list(UNITS)
    assert atlas_bytes(run) == atlas_bytes(whole)


@pytest.mark.parametrize(
    "lost", ["fold.state/meta.json", "fold.state/maps.maps.npy", "pooled.zarr"]
)
def test_a_torn_state_is_discarded(whole, tmp_path, read, lost):
    run, units = make(tmp_path, missing=(4,))
    aggregate(run, workers=1, partial_run=True)
    for path in sizes(run.store, f"atlas/{lost}") or [f"atlas/{lost}"]:
        delete(run.store, path)
    add(run, units, 4)
    aggregate(run, workers=1)
    assert read[1] == list(UNITS)
    assert atlas_bytes(run) == atlas_bytes(whole)


def test_a_subset_of_a_growing_run_has_its_own_state(tmp_path, read):
    run, units = make(tmp_path, missing=(4,))
    aggregate(run, workers=1, where="correct", name="right", partial_run=True)
    add(run, units, 4)
    aggregate(run, workers=1, where="confidence > 0.5", name="right")
    assert read == [[0, 1, 2, 3, 5, 6, 7, 8, 9], list(UNITS)]


def test_a_run_without_any_unit_has_no_atlas(tmp_path):
    run, _ = make(tmp_path, missing=UNITS)
    with pytest.raises(RunIncomplete, match="has no finished unit yet"):
        aggregate(run, workers=1, partial_run=True)
