import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image

from pipeline.synthetic import global_artefacts as changes

SEEDS = range(5)


@pytest.fixture(scope="module")
def image() -> Image.Image:
    noise = default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    return Image.fromarray(noise).resize((100, 100), Image.Resampling.BICUBIC)


def apply(name: str, image: Image.Image, seed: int) -> np.ndarray:
    changed, _ = getattr(changes, name)(image, default_rng(seed), default_rng(9))
    return np.asarray(changed, np.float64)


def roughness(pixels: np.ndarray) -> float:
    return float(np.abs(np.diff(pixels, axis=0)).mean())


def test_edges_are_covered_and_the_middle_is_not(image):
    for name in ("frame", "bars"):
        for seed in SEEDS:
            changed, boxes = getattr(changes, name)(image, default_rng(seed), default_rng(0))
            inside = np.zeros((100, 100), bool)
            for x0, y0, x1, y1 in boxes:
                inside[y0:y1, x0:x1] = True
            assert 0.03 < inside.mean() < 0.3
            assert np.unique(np.asarray(changed)[inside], axis=0).shape[0] == 1
            assert np.array_equal(np.asarray(changed)[~inside], np.asarray(image)[~inside])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_change_does_what_its_name_says(image, seed):
    before = np.asarray(image, np.float64)
    assert roughness(apply("blur", image, seed)) < 0.95 * roughness(before)
    assert roughness(apply("sharpen", image, seed)) > 1.1 * roughness(before)
    assert roughness(apply("grain", image, seed)) > 1.1 * roughness(before)
    assert np.ptp(apply("grey", image, seed), axis=2).max() == 0
    assert abs(apply("dark", image, seed).mean() / before.mean() - 1) > 0.2
    assert np.ptp((apply("tint", image, seed) - before).mean((0, 1))) > 8


def test_stripes_have_one_pitch(image):
    flat = Image.new("RGB", (100, 100), (128, 128, 128))
    for seed in SEEDS:
        spectrum = np.abs(np.fft.fft2(apply("stripes", flat, seed)[..., 0] - 128)) ** 2
        assert np.sort(spectrum.ravel())[-8:].sum() > 0.5 * spectrum.sum()


def test_a_shrunken_image_is_whole_on_an_even_ground(image):
    for seed in SEEDS:
        pixels = apply("shrink", image, seed)
        assert np.unique(pixels[:15].reshape(-1, 3), axis=0).shape[0] == 1
        ground = (pixels == pixels[0, 0]).all(2)
        assert 0.4 < ground.mean() < 0.8
        side = round(np.sqrt((~ground).sum()))
        inner = image.resize((side, side), Image.Resampling.BICUBIC)
        assert abs(pixels[~ground].mean() - np.asarray(inner).mean()) < 4


def test_compression_is_strong_enough_to_be_seen(image):
    for seed in SEEDS:
        assert 5 <= changes.jpeg_quality(default_rng(seed)) < 13
        assert np.abs(apply("compression", image, seed) - np.asarray(image)).mean() > 3
