from pathlib import Path

from pipeline.store import open_store, valid_receipts, verify
from tests.store.runs import spec_of
from tests.store.test_commit import write_run


def test_a_sound_run_has_no_problem(tmp_path: Path) -> None:
    spec = spec_of()
    write_run(tmp_path, spec)
    for deep in (False, True):
        result = verify(open_store(str(tmp_path)), spec, deep=deep)
        assert (result.units, result.done, result.problems) == (4, 4, ())


def test_every_kind_of_damage_is_named(tmp_path: Path) -> None:
    spec = spec_of(rows=80)
    write_run(tmp_path, spec)
    (tmp_path / "receipts/00000000.json").unlink()
    (tmp_path / "receipts/00000001.json").write_text("half a rec")
    (tmp_path / "summary/00000002.parquet").unlink()
    shard = tmp_path / "flows.zarr/maps/c/3/0/0/0"
    shard.write_bytes(shard.read_bytes() + b"more")
    found = {p.unit: p.what for p in verify(open_store(str(tmp_path)), spec).problems}
    assert found[0] == "not computed yet"
    assert found[1] == "its receipt cannot be read"
    assert "missing or has another size" in found[2]
    assert "missing or has another size" in found[3]
    assert 4 not in found


def test_rot_is_found_by_its_hash_and_loses_its_receipt(tmp_path: Path) -> None:
    spec = spec_of()
    write_run(tmp_path, spec)
    shard = tmp_path / "flows.zarr/maps/c/1/0/0/0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    store = open_store(str(tmp_path))
    assert not verify(store, spec).problems
    (problem,) = verify(store, spec, deep=True).problems
    assert (problem.unit, "maps/c/1" in problem.what) == (1, True)
    assert set(valid_receipts(store, spec)) == {0, 2, 3}
