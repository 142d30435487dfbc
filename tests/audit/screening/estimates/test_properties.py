import numpy as np
import pytest
import torch

from pipeline.audit.screening.estimates.properties import COLUMNS, measured, rarest
from tests.audit.screening.estimates.test_transfers import (
    blurred,
    compressed,
    framed,
    grey,
    noisy,
    striped,
)
from tests.audit.screening.pictures import pictures

CARRIERS = (2, 3, 7, 9, 14)

TREATED = {
    "detail": blurred,
    "noise": noisy,
    "compression": compressed,
    "lines": striped,
    "margin": framed,
    "colours": grey,
}


def numbers(treated, seed=0):
    images = pictures(16, seed=seed)
    if treated:
        images[list(CARRIERS)] = treated(images[list(CARRIERS)])
    return measured(images)


@pytest.mark.parametrize("key", TREATED)
def test_images_with_a_property_that_others_lack_are_named(key):
    others = measured(pictures(60, seed=3))
    found = rarest(numbers(TREATED[key]), others)[key]
    assert found.carriers == CARRIERS
    assert found.left == 0
    assert found.chance < 0.01


def test_without_one_nothing_is_rare():
    found = rarest(numbers(None), measured(pictures(60, seed=3)))
    assert min(rarity.chance for rarity in found.values()) > 0.001


def test_every_column_is_finite_for_any_image():
    flat = torch.zeros(1, 3, 40, 52, dtype=torch.uint8)
    assert measured(flat).shape == (1, len(COLUMNS))
    assert np.isfinite(measured(flat)).all()
