import pytest
import torch

from pipeline.audit.screening.likeness import likeness

CARRIERS = (0, 2, 5, 7, 9, 11)


def donors(plant=None, count=16):
    """Smooth random pictures, as little alike as photographs; ``plant`` changes the carriers."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    pixels = (
        torch.nn.functional.interpolate(coarse, (48, 48), mode="bicubic").mul(255).clamp(0, 255)
    )
    for turn, place in enumerate(CARRIERS):
        if plant:
            plant(pixels[place], turn)
    return pixels.byte()


def sticker(image, turn):
    y, x = 20 + turn % 2, 37 - turn % 2  # not quite the same place
    image[:, y : y + 7, x : x + 7] = torch.tensor([250.0, 210.0, 30.0])[:, None, None]


def text(image, turn):
    image[:, 41:46, 18 : 30 + turn % 2 : 3] = 255.0  # strokes of one pixel: the picture shows


def frame(image, turn):
    image[:, :2], image[:, -2:], image[:, :, :2], image[:, :, -2:] = 40, 40, 40, 40


def tint(image, turn):
    image.mul_(torch.tensor([0.6, 0.25, 0.2])[:, None, None]).add_(20 + turn)


def stripes(image, turn):
    image.add_(25 * torch.sin(torch.arange(48) * 2 * torch.pi * 12 / 48)).clamp_(0, 255)


@pytest.mark.parametrize(
    ("plant", "part"),
    [
        (sticker, "block_13"),
        (sticker, "right"),
        (text, "bottom"),
        (frame, "ring"),
        (tint, "colours"),
        (stripes, "spectrum"),
    ],
)
def test_what_carriers_share_is_seen_in_their_part(plant, part):
    left, chance = likeness(donors(plant), CARRIERS, part, 0, 199)
    assert chance <= 0.01
    assert left < likeness(donors(), CARRIERS, part, 0, 19)[0]


@pytest.mark.parametrize("part", ["block_00", "ring", "colours", "spectrum"])
def test_pictures_that_share_nothing_are_not_alike(part):
    assert likeness(donors(), CARRIERS, part, 0, 99)[1] > 0.02


def test_what_lies_elsewhere_is_not_shared_here():
    assert likeness(donors(sticker), CARRIERS, "block_30", 0, 99)[1] > 0.02


def test_the_same_seed_gives_the_same_numbers():
    once, again = (likeness(donors(sticker), CARRIERS, "top", 3, 99) for _ in range(2))
    assert once == again
