import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import QuarantineExceeded, RunConflict, RunIncomplete
from pipeline.store import (
    commit_unit,
    create_run,
    finalize,
    open_run,
    open_store,
    valid_receipts,
)
from pipeline.store.layout import RunSpec
from tests.engine.trees import tree
from tests.store.runs import data_of, index_of, spec_of


def write_run(folder: Path, spec: RunSpec, quarantined: tuple[int, ...] = ()) -> None:
    store = open_store(str(folder), create=True)
    create_run(store, spec, index_of(spec))
    for unit in spec.units:
        commit_unit(store, spec, unit, data_of(unit, spec, quarantined if unit.id == 0 else ()))


def test_what_is_committed_is_read_back(tmp_path: Path) -> None:
    spec = spec_of()
    write_run(tmp_path, spec, quarantined=(3,))
    totals = finalize(open_store(str(tmp_path)), spec, quarantine_limit=0.1)
    run = open_run(str(tmp_path))
    assert (totals.ok, totals.quarantined, totals.reasons) == (49, 1, {"empty": 1})
    assert run.finished
    assert run.spec == spec
    assert run.status[:5].tolist() == [1, 1, 1, 2, 1]
    assert run.summary().count_rows() == 50
    expected = data_of(spec.units[1], spec).maps
    np.testing.assert_allclose(
        run.read_maps(16, 32), expected, rtol=2**-11, atol=expected.max() * 2**-24
    )


def test_label_maps_and_features_are_kept_where_asked_for(tmp_path: Path) -> None:
    spec = spec_of(label_maps=True, channels=5)
    write_run(tmp_path, spec)
    run = open_run(str(tmp_path))
    assert run.spec == spec
    data = data_of(spec.units[3], spec)
    lo, hi = spec.units[3].lo, spec.units[3].hi
    assert len(valid_receipts(run.store, spec)) == 4
    np.testing.assert_array_equal(run.features[lo:hi], data.features)
    for target, expected in (("predicted", data.maps), ("label", data.label_maps)):
        np.testing.assert_allclose(
            run.read_maps(lo, hi, target=target),
            expected,
            rtol=2**-11,
            atol=expected.max() * 2**-24,
        )


def test_what_a_run_does_not_store_is_said(tmp_path: Path) -> None:
    write_run(tmp_path, spec_of())
    run = open_run(str(tmp_path))
    assert sorted(path.name for path in (tmp_path / "flows.zarr").iterdir() if path.is_dir()) == [
        "maps",
        "scale",
        "status",
    ]
    with pytest.raises(RunIncomplete, match=r"flow\.target: both"):
        run.read_maps(0, 1, target="label")
    with pytest.raises(RunIncomplete, match=r"flow\.features"):
        _ = run.features


@pytest.mark.parametrize("lost", ["maps_label/c/2/0/0/0", "scale_label/c/2/0", "features/c/2/0"])
def test_a_unit_without_one_of_its_arrays_is_not_done(tmp_path: Path, lost: str) -> None:
    spec = spec_of(label_maps=True, channels=5)
    write_run(tmp_path, spec)
    before = tree(tmp_path)
    (tmp_path / "flows.zarr" / lost).unlink()
    assert 2 not in valid_receipts(open_store(str(tmp_path)), spec)
    commit_unit(open_store(str(tmp_path)), spec, spec.units[2], data_of(spec.units[2], spec))
    assert tree(tmp_path) == before


def test_committing_twice_changes_nothing(tmp_path: Path) -> None:
    spec = spec_of()
    write_run(tmp_path, spec)
    before = tree(tmp_path)
    write_run(tmp_path, spec)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("torn", ["maps/c/1/0/0/0", "scale/c/1/0", "status/c/1"])
def test_a_torn_shard_is_replaced_not_merged(tmp_path: Path, torn: str) -> None:
    spec = spec_of()
    write_run(tmp_path, spec)
    before = tree(tmp_path)
    shard = tmp_path / "flows.zarr" / torn
    shard.write_bytes(shard.read_bytes()[:20])
    assert 1 not in valid_receipts(open_store(str(tmp_path)), spec)
    commit_unit(open_store(str(tmp_path)), spec, spec.units[1], data_of(spec.units[1], spec))
    assert tree(tmp_path) == before


def test_a_receipt_of_another_configuration_does_not_count(tmp_path: Path) -> None:
    spec = spec_of()
    write_run(tmp_path, spec)
    path = tmp_path / "receipts/00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "run_hash": "other"}))
    assert set(valid_receipts(open_store(str(tmp_path)), spec)) == {0, 2, 3}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"objects": 3}', "null"])
def test_a_receipt_that_is_none_does_not_count(tmp_path: Path, content: str) -> None:
    spec = spec_of()
    write_run(tmp_path, spec)
    (tmp_path / "receipts/00000002.json").write_text(content)
    assert set(valid_receipts(open_store(str(tmp_path)), spec)) == {0, 1, 3}


def test_an_unfinished_run_is_not_finalised(tmp_path: Path) -> None:
    spec = spec_of()
    write_run(tmp_path, spec)
    (tmp_path / "receipts/00000003.json").unlink()
    with pytest.raises(RunIncomplete, match=r"1 of 4 units not done \(first: 3\)"):
        finalize(open_store(str(tmp_path)), spec, quarantine_limit=1)
    assert not (tmp_path / "_SUCCESS").exists()


def test_the_quarantine_limit_counts_rows(tmp_path: Path) -> None:
    spec = spec_of()
    write_run(tmp_path, spec, quarantined=(1, 2))
    store = open_store(str(tmp_path))
    with pytest.raises(QuarantineExceeded, match=r"2 of 50 .*2 empty"):
        finalize(store, spec, quarantine_limit=0.039)
    assert finalize(store, spec, quarantine_limit=0.04).quarantined == 2


def test_a_conflict_names_what_differs(tmp_path: Path) -> None:
    write_run(tmp_path, spec_of())
    other = spec_of(weights_sha256="other", grid=(2, 2), code_version="2")
    with pytest.raises(RunConflict) as caught:
        create_run(open_store(str(tmp_path)), other, index_of(other))
    assert "weights_sha256 (was w, is other)" in str(caught.value)
    assert "grid" in str(caught.value)
    assert "code_version" not in str(caught.value)


def test_half_written_files_of_killed_processes_are_swept(tmp_path: Path) -> None:
    spec = spec_of()
    write_run(tmp_path, spec)
    finalize(open_store(str(tmp_path)), spec, quarantine_limit=0)
    before = tree(tmp_path)
    (tmp_path / "summary/00000001.parquet#1").write_bytes(b"half")
    (tmp_path / "receipts/00000001.json#22").write_bytes(b"half")
    finalize(open_store(str(tmp_path)), spec, quarantine_limit=0)
    assert tree(tmp_path) == before
