"""Every mode becomes 8-bit RGB by a rule that is written down."""

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decoding.pixels import to_rgb
from pipeline.images.reasons import Unusable
from tests.images.gallery import picture


def _levels(image: Image.Image) -> list[int]:
    pixels = np.asarray(to_rgb(image))
    assert (pixels == pixels[..., :1]).all()
    return [int(level) for level in pixels[..., 0].ravel()]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_eight_bit_modes_are_what_pillow_makes_of_them(mode: str) -> None:
    image = picture().convert("P").convert(mode) if mode == "PA" else picture().convert(mode)
    assert np.array_equal(to_rgb(image), image.convert("RGB"))


def test_alpha_is_dropped_not_composited() -> None:
    image = picture()
    clear = image.copy()
    clear.putalpha(0)
    assert np.array_equal(to_rgb(clear), image)


@pytest.mark.filterwarnings("error")
def test_transparent_palette_colours_keep_their_colour() -> None:
    image = picture().quantize(8)
    expected = np.asarray(image.convert("RGB"))
    for transparency in (2, bytes(8)):
        image.info["transparency"] = transparency
        assert np.array_equal(to_rgb(image), expected)


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_alpha_is_undone(mode: str) -> None:
    straight = picture().convert(mode.upper())
    straight.putalpha(128)
    difference = np.asarray(to_rgb(straight.convert(mode)), int) - np.asarray(
        straight.convert("RGB")
    )
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bits_keep_their_high_byte(dtype: str) -> None:
    values = np.array([[0, 255, 256, 32_768, 65_535]], dtype)
    mode = "I;16" if dtype == "<u2" else "I;16B"
    image = Image.frombytes(mode, (5, 1), values.tobytes())
    assert _levels(image) == [0, 0, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0, 256, 65_535], [0, 1, 255]),
        ([0, 65_536, 131_072], [0, 128, 255]),
        ([-100, 0, 100], [0, 128, 255]),
        ([-7, -7, -7], [0, 0, 0]),
    ],
)
def test_long_integers(values: list[int], levels: list[int]) -> None:
    assert _levels(Image.fromarray(np.array([values], np.int32))) == levels


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0.25, 0.25, 0.25], [64, 64, 64]),
        ([0, 127.4, 255], [0, 127, 255]),
        ([-1, 0, 1], [0, 128, 255]),
        ([0, 1000, 2000], [0, 128, 255]),
        ([300, 300, 300], [0, 0, 0]),
    ],
)
def test_floats(values: list[float], levels: list[int]) -> None:
    assert _levels(Image.fromarray(np.array([values], np.float32))) == levels


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_unsupported(value: float) -> None:
    image = Image.fromarray(np.array([[0, value, 1]], np.float32))
    with pytest.raises(Unusable, match="unsupported") as caught:
        to_rgb(image)
    assert (caught.value.width, caught.value.height) == (3, 1)


def test_lab_is_unsupported() -> None:
    with pytest.raises(Unusable, match="unsupported"):
        to_rgb(Image.new("LAB", (3, 2)))


def test_the_result_belongs_to_no_file() -> None:
    for mode in ("RGB", "L", "F"):
        assert type(to_rgb(picture().convert(mode))) is Image.Image
