import math

import pytest
import torch
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur, rgb_to_grayscale

from pipeline.audit.screening.estimates import transfers
from pipeline.audit.screening.estimates.transfers import as_image, as_jpeg

SIDE = 96


def pictures(seed, count=2):
    """Smooth shapes with fine detail, of the full range of colours, as photographs are."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    fine = torch.rand(count, 3, 41, 41, generator=generator)
    mixed = sum(
        share * functional.interpolate(values, (SIDE, SIDE), mode="bicubic")
        for share, values in ((1.0, coarse), (0.35, fine))
    )
    low, high = mixed.amin((1, 2, 3), keepdim=True), mixed.amax((1, 2, 3), keepdim=True)
    spread = 320 * (mixed - low) / (high - low) - 32
    spread[:, :, 0, :2], spread[:, :, 0, 2:4] = 0, 255  # the whole range, in every channel
    return as_image(spread)


def striped(images):
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return as_image(images.float() + 20 * torch.sin(2 * math.pi * (x / 6 + y / 8)))


def noisy(images):
    random = torch.Generator().manual_seed(5)
    return as_image(images.float() + 28 * torch.randn(images.shape, generator=random))


def framed(images):
    small = functional.interpolate(images.float(), (60, 60), mode="bicubic")
    return as_image(functional.pad(small, [18] * 4, value=128.0))


def compressed(images):
    return torch.stack([as_jpeg(image, 7) for image in images])


def blurred(images):
    return as_image(gaussian_blur(images.float(), [9, 9], [2.0, 2.0]))


def grey(images):
    return rgb_to_grayscale(images, 3)


CASES = {
    "compression": (transfers.with_compression, compressed),
    "lines": (transfers.with_lines, striped),
    "noise": (transfers.with_noise, noisy),
    "margin": (transfers.with_margin, framed),
}


def change(one, other):
    return float((one.float() - other.float()).abs().mean())


@pytest.mark.parametrize("key", CASES)
def test_a_recipient_gets_what_was_done_to_the_donor(key):
    """It comes nearer to what the same treatment makes of it than it was, noise aside."""
    onto, treated = CASES[key]
    recipients, donors = pictures(1), treated(pictures(2))
    after = onto(recipients, donors)
    assert after.shape == recipients.shape
    assert after.dtype == torch.uint8
    wanted = treated(recipients)
    if key == "noise":
        assert change(after, recipients) == pytest.approx(change(wanted, recipients), rel=0.3)
    else:
        assert change(after, wanted) < 0.6 * change(recipients, wanted)


@pytest.mark.parametrize("key", CASES)
def test_a_donor_to_which_nothing_was_done_changes_little(key):
    onto, treated = CASES[key]
    recipients = pictures(1)
    plain = change(onto(recipients, pictures(3)), recipients)
    assert plain < 0.35 * change(onto(recipients, treated(pictures(3))), recipients)
