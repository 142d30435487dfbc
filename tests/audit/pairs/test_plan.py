"""Units of pairs, and names that say what they hold."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.audit.pairs.plan import UNIT, Plan

PLAN = Plan(
    name="twins",
    pairs=tuple((row, row + 1) for row in range(2 * UNIT + 1)),
    layer="blocks.0",
    similarity="cosine",
    strongest=4,
    tolerance=0.01,
    most_steps=36,
)
RUN = SimpleNamespace(spec=SimpleNamespace(hash="abc"))


def test_units_are_places_of_the_table():
    assert [len(PLAN.pairs_of(unit)) for unit in PLAN.units] == [UNIT, UNIT, 1]
    assert PLAN.path == "audit/pairs/twins.parquet"


def test_a_longer_table_finds_the_units_that_it_begins_with():
    longer = replace(PLAN, pairs=(*PLAN.pairs, (0, 5)))
    own = [PLAN.unit_path(RUN, unit) for unit in PLAN.units]
    more = [longer.unit_path(RUN, unit) for unit in longer.units]
    assert own[:2] == more[:2]
    assert own[2] != more[2]


@pytest.mark.parametrize(
    "change",
    [
        {"layer": "blocks.1"},
        {"similarity": "dot"},
        {"strongest": 5},
        {"tolerance": 0.02},
        {"most_steps": 108},
        {"pairs": ((0, 2), *PLAN.pairs[1:])},
    ],
)
def test_what_determines_a_unit_is_in_its_name(change):
    unit = PLAN.units[0]
    assert replace(PLAN, **change).unit_path(RUN, unit) != PLAN.unit_path(RUN, unit)
