import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.images import Leftover
from pipeline.store.layout import RunSpec, units_of
from tests.store.runs import spec_of


@given(st.integers(1, 10_000), st.integers(1, 3_000))
def test_units_cover_every_row_once(rows: int, unit_rows: int) -> None:
    units = units_of(rows, unit_rows)
    assert [unit.id for unit in units] == list(range(len(units)))
    assert [row for unit in units for row in range(unit.lo, unit.hi)] == list(range(rows))
    assert all(unit.lo == unit.id * unit_rows and 0 < len(unit) <= unit_rows for unit in units)


def test_run_json_round_trip() -> None:
    for spec in (spec_of(), spec_of(leftovers=(Leftover("notes", 2, ("a", "b")),))):
        assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_leftovers_are_written_only_where_there_are_any_and_determine_nothing() -> None:
    with_some = spec_of(leftovers=(Leftover("notes", 1, ("a",)),))
    assert with_some.hash == spec_of().hash
    assert "leftovers" in with_some.to_json()
    assert "leftovers" not in spec_of().to_json()


def test_the_hash_follows_the_data_not_the_code() -> None:
    spec = spec_of()
    assert spec_of(code_version="2").hash == spec.hash
    for change in ({"rows": 51}, {"fingerprint": "g"}, {"dtype": "float32"}, {"root": "/b"}):
        assert spec_of(**change).hash != spec.hash
