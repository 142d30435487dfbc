import math

import pytest

from pipeline.synthetic.outlines import BLOTS, OUTLINES, area, regular


def test_area_of_known_polygons():
    assert area([(0, 0), (2, 0), (2, 3), (0, 3)]) == 6
    assert area(regular(4)) == pytest.approx(2)
    assert area(regular(48)) == pytest.approx(math.pi, rel=0.01)
    assert area([]) == 0


def test_inner_radius_makes_a_star():
    star = regular(10, 0.42)
    radii = [math.hypot(x, y) for x, y in star]
    assert radii[0::2] == pytest.approx([1] * 5)
    assert radii[1::2] == pytest.approx([0.42] * 5)


def test_holes_lie_inside_their_outlines():
    for outline, hole in OUTLINES.values():
        assert area(hole) < 0.5 * area(outline)


def test_names_are_in_the_order_of_folders():
    assert list(OUTLINES) == sorted(OUTLINES)


def test_blots_are_polygons():
    assert all(area(blot) > 0.5 for blot in BLOTS)
