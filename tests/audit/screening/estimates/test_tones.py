import pytest
import torch

from pipeline.audit.screening.estimates.tones import estimate_tone
from pipeline.audit.screening.estimates.transfers import as_image
from tests.audit.screening.pictures import pictures


def darker(images):
    return as_image(0.4 * images.float())


def lighter(images):
    return as_image(2.0 * images.float())


def grey(images):
    return images.float().mean(1, keepdim=True).expand(-1, 3, -1, -1).byte()


def tinted(images):
    return as_image(0.7 * images.float() + torch.tensor([70.0, 20.0, 0.0])[:, None, None])


@pytest.mark.parametrize("changed", [darker, lighter, grey, tinted])
def test_other_images_get_the_colours_of_the_group(changed):
    new = pictures(3, seed=9)
    wanted = changed(new)
    after = estimate_tone(changed(pictures(8)), pictures(16, seed=5)).onto(new)
    assert after.shape == new.shape
    assert after.dtype == torch.uint8
    left = (after.float() - wanted.float()).abs().mean()
    assert left < 0.35 * (new.float() - wanted.float()).abs().mean()


def test_a_group_with_the_usual_colours_changes_little():
    new = pictures(3, seed=9)
    after = estimate_tone(pictures(12), pictures(16, seed=5)).onto(new)
    assert (after.float() - new.float()).abs().mean() < 12


def test_one_flat_colour_is_no_obstacle():
    flat = torch.full((2, 3, 96, 96), 90, dtype=torch.uint8)
    after = estimate_tone(flat, pictures(4)).onto(pictures(2, seed=3))
    assert (after.float() - 90).abs().max() < 6
    assert estimate_tone(pictures(4), flat).onto(flat).shape == flat.shape
