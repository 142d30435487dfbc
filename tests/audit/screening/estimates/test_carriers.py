import numpy as np
import pytest

from pipeline.audit.screening.estimates.carriers import (
    LEAST,
    aligned,
    comparable,
    gathered,
    holds,
    widened,
)
from pipeline.audit.screening.estimates.overlay import estimate_overlay
from tests.audit.screening.pictures import glyph, laid, pictures

CARRIERS = [1, 4, 6, 11, 12, 17, 19]


def own(opacity=None):
    images = pictures(24)
    if opacity:
        images[CARRIERS] = laid(images[CARRIERS], *glyph(), opacity)
    return comparable(images)


@pytest.mark.parametrize("opacity", [1.0, 0.6])
@pytest.mark.parametrize("start", [(1, 4, 9, 11, 20, 22), (6, 11, 12), (1, 17, 20)])
def test_carriers_are_gathered_from_a_start_that_holds_some(start, opacity):
    found = gathered(own(opacity), start)
    assert list(found.carriers) == CARRIERS
    others = [place for place in range(24) if place not in CARRIERS]
    assert found.held[CARRIERS].min() > 0.4 > 0.2 > found.held[others].max()
    assert holds(widened(comparable(pictures(20, seed=7))), found.pattern).max() < 0.2


def test_images_that_share_nothing_hold_nothing_of_what_the_others_make():
    found = gathered(own(), (1, 4, 9, 15, 20, 22))
    assert np.quantile(found.held[list(found.carriers)], 0.25) < 0.15
    assert LEAST <= len(found.carriers) < 24 - LEAST


def test_the_same_start_gives_the_same_carriers():
    one, other = (gathered(own(0.6), (1, 4, 9)) for _ in range(2))
    assert one.carriers == other.carriers
    assert np.array_equal(one.held, other.held)


def test_what_is_moved_a_little_from_image_to_image_is_brought_together():
    images = pictures(24)
    for turn, place in enumerate(CARRIERS):
        colours, mask = glyph(top=30 + turn % 2, left=24 + turn // 2 % 2)
        images[place : place + 1] = laid(images[place : place + 1], colours, mask, 1.0)
    found = gathered(comparable(images), (1, 4, 6, 11))
    assert list(found.carriers) == CARRIERS
    together = aligned(images[CARRIERS], found.moves)
    apart, before = (group.float().std(0).mean() for group in (together, images[CARRIERS]))
    assert together.shape == images[CARRIERS].shape
    overlay = estimate_overlay(together, pictures(16, seed=5))
    assert overlay.opacity.max() > estimate_overlay(images[CARRIERS], pictures(16)).opacity.max()
    assert apart < 1.05 * before
