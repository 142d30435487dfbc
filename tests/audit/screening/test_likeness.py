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
    image[:, 21:26, 18 : 30 + turn % 2 : 3] = 255.0  # strokes of one pixel: the picture shows


@pytest.mark.parametrize("plant", [sticker, text])
def test_what_carriers_share_is_seen_in_their_crops(plant):
    left, chance = likeness(donors(plant), CARRIERS, 0, 199)
    assert chance <= 0.02
    assert left < likeness(donors(), CARRIERS, 0, 19)[0]


def test_pictures_that_share_nothing_are_not_alike():
    assert likeness(donors(), CARRIERS, 0, 99)[1] > 0.01


def test_the_same_seed_gives_the_same_numbers():
    once, again = (likeness(donors(sticker), CARRIERS, 3, 99) for _ in range(2))
    assert once == again
