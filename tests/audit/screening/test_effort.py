import pytest

from pipeline.audit.screening.effort import effort


def test_a_thousand_classes_cost_what_a_class_does_a_thousand_times():
    needed = effort(1000)
    assert needed.passes < 1000 * 700
    assert f"1,000 classes: at most {needed.passes:,} forward passes" in needed.sentence


def test_classes_that_are_too_small_cost_nothing_and_are_named():
    needed = effort(4, too_small=2)
    assert needed.passes == effort(4).passes
    assert "2 classes with too few images that are right" in needed.sentence


@pytest.mark.parametrize("classes", [1, 25, 400])
def test_more_classes_cost_more(classes):
    assert effort(classes).passes < effort(classes + 1).passes
