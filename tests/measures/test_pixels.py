import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from pipeline.measures import PIXEL_COLUMNS, measure_pixels, perceptual_hash

RNG = np.random.default_rng(0)


def scene(seed: int = 0, side: int = 96) -> Image.Image:
    """A picture with coarse and fine structure."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    large = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(
        np.clip(large + rng.integers(-12, 13, large.shape), 0, 255).astype(np.uint8)
    )


def batch(*images: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)


def distance(one: torch.Tensor, two: torch.Tensor) -> int:
    return bin(int(one) ^ int(two)).count("1")


def test_the_columns_are_those_that_are_announced() -> None:
    found = measure_pixels(batch(scene()))
    assert list(found) == list(PIXEL_COLUMNS)
    assert all(values.shape == (1,) and values.dtype == torch.float32 for values in found.values())


def test_brightness_and_contrast_of_known_images() -> None:
    black, white = Image.new("RGB", (20, 20)), Image.new("RGB", (20, 20), (255, 255, 255))
    half = white.copy()
    half.paste(black, (0, 0))
    half.paste(Image.new("RGB", (10, 20), (255, 255, 255)), (0, 0))
    found = measure_pixels(batch(black, white, half))
    np.testing.assert_allclose(found["brightness"], [0, 1, 0.5], atol=1e-6)
    np.testing.assert_allclose(found["contrast"], [0, 0, 1], atol=1e-6)
    assert found["sharpness"].isnan().tolist() == [True, True, False]


def test_luma_is_that_of_pillow() -> None:
    image = scene(3)
    luma = np.asarray(image.convert("L"), float) / 255
    found = measure_pixels(batch(image))
    assert found["brightness"].item() == pytest.approx(luma.mean(), abs=0.003)
    assert found["contrast"].item() == pytest.approx(2 * luma.std(), abs=0.003)


def test_white_noise_has_a_sharpness_of_twenty_and_blur_takes_it_away() -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (200, 200, 3), np.uint8))
    sharp, soft = scene(1), scene(1).filter(ImageFilter.GaussianBlur(4))
    assert measure_pixels(batch(noise))["sharpness"].item() == pytest.approx(20, rel=0.05)
    values = measure_pixels(batch(sharp, soft))["sharpness"]
    assert values[1] < values[0] / 20


def test_what_looks_alike_has_nearly_the_same_hash_and_other_images_have_not() -> None:
    image = scene(2, 128)
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=40)
    alike = [
        Image.open(packed),
        image.resize((64, 64), Image.Resampling.BOX).resize((128, 128)),
        image.point([min(255, round(8 + 0.9 * v)) for v in range(256)] * 3),
    ]
    first, *rest = perceptual_hash(batch(image, *alike))
    assert max(distance(first, other) for other in rest) <= 4
    others = perceptual_hash(batch(*(scene(seed) for seed in range(20))))
    apart = [distance(a, b) for i, a in enumerate(others) for b in others[:i]]
    assert min(apart) > 10


def test_an_image_of_one_colour_has_no_hash() -> None:
    assert perceptual_hash(batch(Image.new("RGB", (40, 40), (9, 120, 40)))).item() == 0
    assert 0 < perceptual_hash(batch(scene())).item() < 2**63


@pytest.mark.parametrize("shape", [(224, 224), (64, 48), (20, 33)])
def test_an_image_has_the_same_values_in_any_batch(shape) -> None:
    pixels = torch.from_numpy(RNG.integers(0, 256, (7, 3, *shape), np.uint8))
    together, hashes = measure_pixels(pixels), perceptual_hash(pixels)
    for i in range(7):
        alone = measure_pixels(pixels[i : i + 1])
        assert all(torch.equal(alone[name][0], values[i]) for name, values in together.items())
        assert perceptual_hash(pixels[i : i + 1])[0] == hashes[i]
