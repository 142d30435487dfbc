import pytest
import torch

from pipeline.audit.screening.parts import PARTS, WHOLE, place_of

SIZE = (48, 64)
REGIONS = [key for key, part in PARTS.items() if part.is_region and not part.moves]


def test_the_blocks_cut_an_image_into_sixteen():
    blocks = [part.mask(SIZE).int() for key, part in PARTS.items() if key.startswith("block")]
    assert len(blocks) == 16
    assert (torch.stack(blocks).sum(0) == 1).all()


@pytest.mark.parametrize("key", REGIONS)
def test_what_fills_a_region_has_its_name_or_one_that_holds_most_of_it(key):
    found = place_of(PARTS[key].mask(SIZE).float())
    held = (PARTS[found].mask(SIZE) & PARTS[key].mask(SIZE)).sum()
    assert held >= 0.7 * PARTS[key].mask(SIZE).sum()
    if key.startswith("block") or key in ("ring", "top", "right", "sides"):
        assert found == key


def test_what_is_weak_all_around_does_not_count():
    change = torch.full(SIZE, 1.0)
    change[36:, 16:32] = 30.0
    assert place_of(change) == "block_31"


def test_what_is_everywhere_is_the_whole_image():
    assert place_of(torch.ones(SIZE)) == WHOLE


def test_regions_have_no_property_and_properties_no_place():
    for part in PARTS.values():
        assert part.is_region != part.is_property
        assert part.moves == (part.key == "peak")
