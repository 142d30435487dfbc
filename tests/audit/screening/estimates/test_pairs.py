import pytest

from pipeline.audit.screening.estimates.pairs import agreement, pairs
from tests.audit.screening.pictures import glyph, laid, pictures


@pytest.mark.parametrize(("one", "other"), [(3, 17), (20, 5)])
@pytest.mark.parametrize("opacity", [1.0, 0.6])
def test_two_images_with_the_same_letters_are_the_first_pair(one, other, opacity):
    images = pictures(24)
    images[[one, other]] = laid(images[[one, other]], *glyph(), opacity)
    assert {one, other} in [set(pair) for pair in pairs(images, 2)]
    assert agreement(images)[one, other] > 1.5 * agreement(pictures(24))[one, other]


def test_agreement_is_symmetric_and_an_image_has_none_with_itself():
    agreed = agreement(pictures(6))
    assert agreed.allclose(agreed.T, atol=1e-4)
    assert agreed.diagonal().abs().max() == 0


def test_no_image_is_in_two_pairs():
    found = pairs(pictures(9), 20)
    places = [place for pair in found for place in pair]
    assert len(found) == 4
    assert len(set(places)) == len(places)


def test_flat_images_agree_in_nothing():
    flat = pictures(4) * 0
    assert agreement(flat).abs().max() == 0
