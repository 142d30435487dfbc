import pytest

from pipeline.audit.screening.effort import effort
from pipeline.audit.screening.parts import PARTS


def test_a_thousand_classes_cost_hardly_more_than_the_first_round():
    needed = effort(1000)
    first = 1000 * 10 * len(PARTS)
    assert first < needed.passes < 2 * first
    assert f"1,000 classes × {len(PARTS)} parts: at most {needed.passes:,}" in needed.sentence


def test_classes_that_are_too_small_cost_nothing_and_are_named():
    needed = effort(4, too_small=2)
    assert needed.passes == effort(4).passes
    assert "2 classes with too few images that are right" in needed.sentence


@pytest.mark.parametrize("classes", [1, 25, 400])
def test_more_classes_and_donors_cost_more(classes):
    assert effort(classes).passes < effort(classes + 1).passes
    assert effort(classes, donors=6).passes < effort(classes).passes
