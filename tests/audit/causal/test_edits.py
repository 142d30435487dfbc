import pytest
import torch

from pipeline.audit.causal.edits import erase_blur, erase_mean, paste, place_mask
from pipeline.measures import measure

IMAGES = torch.randint(
    0, 256, (5, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


@pytest.mark.parametrize("place", ["tl", "tr", "bl", "br", "border"])
def test_a_place_is_what_its_column_measures(place):
    """A map inside the mask only has all its mass at the place."""
    mask = place_mask(place, (32, 48), (8, 12))
    cells = mask.reshape(8, 4, 12, 4).float().mean((1, 3))
    assert set(cells.unique().tolist()) == {0.0, 1.0}

    class Flow:
        maps, extras = cells[None, None], {}

    column = "border_flow" if place == "border" else f"corner_{place}_flow"
    assert measure(Flow)[column].item() == pytest.approx(1 / cells.mean().item(), rel=1e-5)


def test_odd_sizes_are_cut_in_whole_pixels():
    assert place_mask("br", (33, 50), (7, 7)).sum() == 9 * 13
    assert not place_mask("border", (33, 50), (7, 7))[5:28, 8:42].any()


def test_pasting_changes_the_place_only_and_takes_sources_in_turns():
    mask = place_mask("tr", (32, 48), (8, 12))
    source = torch.stack([torch.full((3, 32, 48), 7), torch.full((3, 32, 48), 9)]).byte()
    found = paste(IMAGES, source, mask)
    assert torch.equal(found[:, :, ~mask], IMAGES[:, :, ~mask])
    assert [image[:, mask].unique().tolist() for image in found] == [[7], [9], [7], [9], [7]]


@pytest.mark.parametrize("erase", [erase_mean, erase_blur])
def test_erasing_takes_the_structure_of_the_place_only(erase):
    mask = place_mask("bl", (32, 48), (8, 12))
    found = erase(IMAGES, mask)
    assert found.dtype == torch.uint8
    assert torch.equal(found[:, :, ~mask], IMAGES[:, :, ~mask])
    assert (found[:, :, mask].float().std(2) < IMAGES[:, :, mask].float().std(2) / 3).all()


def test_the_mean_fill_is_that_of_the_rest():
    mask = place_mask("tl", (32, 48), (8, 12))
    images = torch.full((1, 3, 32, 48), 200, dtype=torch.uint8)
    images[:, :, mask] = 0
    assert erase_mean(images, mask).unique().tolist() == [200]
