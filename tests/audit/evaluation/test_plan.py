"""Where the results of units are kept."""

from dataclasses import replace

import pytest

from pipeline.audit.evaluation.plan import UNIT, Plan

PLAN = Plan(
    rows=tuple(range(100, 100 + 2 * UNIT + 3)),
    hiding=UNIT + 2,
    methods=("daam",),
    fills=("mean",),
    steps=4,
    tolerance=0.1,
)


class Spec:
    hash = "abc"


class Stored:
    spec = Spec()


def paths(plan):
    return [plan.path(Stored(), unit, "tally") for unit in plan.units]


def test_patches_are_hidden_of_the_first_images():
    assert [PLAN.hiding_of(unit) for unit in PLAN.units] == [UNIT, 2, 0]
    assert [PLAN.rows_of(unit)[0] for unit in PLAN.units] == [100, 100 + UNIT, 100 + 2 * UNIT]


def test_a_larger_sample_keeps_the_units_that_it_shares():
    more = replace(PLAN, rows=(*PLAN.rows, 7, 8))
    assert paths(more)[:2] == paths(PLAN)[:2]
    assert paths(more)[2] != paths(PLAN)[2]
    further = replace(PLAN, hiding=2 * UNIT)
    assert [a == b for a, b in zip(paths(further), paths(PLAN), strict=True)] == [True, False, True]


@pytest.mark.parametrize(
    "changed",
    [{"methods": ("daam", "rollout")}, {"fills": ("blur",)}, {"steps": 5}, {"tolerance": 0.0}],
)
def test_other_settings_are_other_units(changed):
    assert not set(paths(replace(PLAN, **changed))) & set(paths(PLAN))
