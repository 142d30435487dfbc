import pytest
import torch

from pipeline.audit.screening.parts import PARTS, with_colours, with_spectrum

SIZE = (37, 50)
REGIONS = [key for key, part in PARTS.items() if part.is_region]


def images(seed, count=2):
    shape = (count, 3, *SIZE)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).byte()


def test_the_blocks_cut_an_image_into_sixteen():
    blocks = [part.mask(SIZE).int() for key, part in PARTS.items() if key.startswith("block")]
    assert len(blocks) == 16
    assert (torch.stack(blocks).sum(0) == 1).all()


@pytest.mark.parametrize("key", REGIONS)
def test_a_region_is_pasted_where_it_was_and_nothing_else(key):
    recipients, donors = images(0), images(1)
    after = PARTS[key].onto(recipients, donors)
    mask = PARTS[key].mask(SIZE)
    assert 0 < mask.float().mean() < 0.5
    assert torch.equal(after[:, :, mask], donors[:, :, mask])
    assert torch.equal(after[:, :, ~mask], recipients[:, :, ~mask])


def test_a_place_has_another_side_unless_it_is_its_own():
    sides = {key for key, part in PARTS.items() if part.has_other_side}
    assert {"left", "right", "block_00", "block_12"} <= sides
    assert not sides & {"top", "bottom", "ring", "colours"}


def test_colours_are_transferred_and_the_picture_stays():
    recipients = images(2).float().mul(0.4).add(60).byte()
    donors = images(3).float().mul(torch.tensor([0.5, 0.3, 0.2])[:, None, None]).add(40).byte()
    after = with_colours(recipients, donors).float()
    of = donors.float()
    assert (after.mean((2, 3)) - of.mean((2, 3))).abs().max() < 1.5
    assert (after.std((2, 3)) - of.std((2, 3))).abs().max() < 1.5
    before, now = recipients.float().flatten(2), after.flatten(2)
    assert (
        min(torch.corrcoef(torch.stack(p))[0, 1] for p in zip(before[0], now[0], strict=True))
        > 0.99
    )


def test_a_spectrum_brings_stripes_with_it():
    """The amplitude at the stripes' frequency is the donor's, whatever the recipient shows."""
    wave = 60 * torch.sin(torch.arange(SIZE[1]) * 2 * torch.pi * 5 / SIZE[1])
    donors = (128 + wave).expand(1, 3, *SIZE).byte()
    recipients = images(4, 1).float().mul(0.2).add(100).byte()
    after = with_spectrum(recipients, donors)
    peak = torch.fft.rfft2(after.float()).abs()[0, 0, 0, 1:].argmax() + 1
    assert peak == 5
    assert after.shape == recipients.shape
