import pytest
from torchvision.transforms.functional import gaussian_blur

from pipeline.audit.screening.estimates.sharpness import estimate_sharpness
from pipeline.audit.screening.estimates.transfers import as_image
from tests.audit.screening.pictures import pictures


def blurred(images):
    return as_image(gaussian_blur(images.float(), [9, 9], [1.6, 1.6]))


def sharpened(images):
    pixels = images.float()
    return as_image(pixels + 1.5 * (pixels - gaussian_blur(pixels, [7, 7], [1.5, 1.5])))


@pytest.mark.parametrize("changed", [blurred, sharpened])
def test_other_images_become_as_sharp_as_the_group(changed):
    new = pictures(3, seed=9)
    wanted = changed(new)
    after = estimate_sharpness(changed(pictures(8)), pictures(16, seed=5)).onto(new)
    left = (after.float() - wanted.float()).abs().mean()
    assert left < 0.5 * (new.float() - wanted.float()).abs().mean()


def test_a_group_as_sharp_as_the_rest_changes_little():
    new = pictures(3, seed=9)
    after = estimate_sharpness(pictures(8), pictures(16, seed=5)).onto(new)
    assert (after.float() - new.float()).abs().mean() < 2
    assert after.shape == new.shape
