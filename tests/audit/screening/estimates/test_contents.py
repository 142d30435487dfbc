import numpy as np
import pytest
import torch

from pipeline.audit.screening.estimates.contents import apart, found_again, likely_contents, reduced
from tests.audit.screening.pictures import pictures

CARRIERS = {2: (10, 50), 5: (44, 8), 9: (60, 62), 11: (28, 30)}
"""Image → top and left of what it shares with the others."""

SIDE = 20

ELSEWHERE = reduced(pictures(4, seed=31))


def marked(opacity=1.0):
    """Return 12 images, four with the same picture in a disc somewhere."""
    images = pictures(12)
    mark = pictures(1, side=SIDE, seed=77)[0].float()
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    inside = opacity * (torch.hypot(y - 9.5, x - 9.5) < SIDE / 2)
    for place, (top, left) in CARRIERS.items():
        cut = images[place, :, top : top + SIDE, left : left + SIDE]
        cut.copy_((cut + inside * (mark - cut)).round().byte())
    return images


def spots(number=12):
    """Return spots that hold the mark of carriers, and something of the other images."""
    corners = [CARRIERS.get(place, (30, 40)) for place in range(number)]
    return [min(top, 72) for top, _ in corners], [min(left, 72) for _, left in corners]


@pytest.mark.parametrize("opacity", [1.0, 0.75])
def test_what_spots_share_is_found_again_wherever_it_is(opacity):
    images = reduced(marked(opacity))
    found = apart(likely_contents(images, *spots(), 24, ELSEWHERE, 0.7), 2)
    assert found
    assert found[0].owner in CARRIERS
    held, places = found_again(found[0], images)
    assert {place for place in range(12) if held[place] > 0.7} == set(CARRIERS)
    for place, (top, left) in CARRIERS.items():
        assert top - 8 <= places[place, 0] <= top + SIDE
        assert left - 8 <= places[place, 1] <= left + SIDE
    elsewhere, _ = found_again(found[0], reduced(pictures(30, seed=5)))
    assert elsewhere.max() < 0.7


def test_pictures_of_different_things_share_little():
    plain, shared = (
        likely_contents(reduced(images), *spots(), 24, ELSEWHERE, 0.7)
        for images in (pictures(12), marked())
    )
    assert len(plain) < len(shared) / 2


def test_flat_spots_have_no_content():
    flat = torch.full((6, 3, 96, 96), 90, dtype=torch.uint8)
    assert likely_contents(flat, [10] * 6, [10] * 6, 24, ELSEWHERE, 0.7) == []


def test_an_image_has_its_own_content_wholly():
    images = reduced(marked())
    content = likely_contents(images, *spots(), 24, ELSEWHERE, 0.7)[0]
    held, _ = found_again(content, images)
    assert held[content.owner] == held.max()
    assert np.abs(held).max() <= 1 + 1e-6


def test_nothing_is_found_in_no_image():
    images = reduced(marked())
    content = likely_contents(images, *spots(), 24, ELSEWHERE, 0.7)[0]
    held, places = found_again(content, images[:0])
    assert held.shape == (0,)
    assert places.shape == (0, 2)
