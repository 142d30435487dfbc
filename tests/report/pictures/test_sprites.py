import io
import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.report.pictures.palettes import INFERNO
from pipeline.report.pictures.sprites import Sprite, levels, signed_levels, sprite, webp


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def shown(figure: Sprite, index: int) -> np.ndarray:
    """Do what CSS does: scale by background-size, move by background-position, crop."""
    height, width = figure.grid
    box = 64 * height, 64 * width
    across, down = (float(part) / 100 for part in re.findall(r"[\d.]+", figure.size))
    x, y = (float(part) / 100 for part in re.findall(r"-?[\d.]+", figure.position(index)))
    image = opened(figure.content)
    left, top = x * (box[1] * across - box[1]), y * (box[0] * down - box[0])
    centres = [(np.arange(cells) + 0.5) * 64 for cells in figure.grid]
    rows = ((centres[0] + top) / (box[0] * down) * image.shape[0]).astype(int)
    columns = ((centres[1] + left) / (box[1] * across) * image.shape[1]).astype(int)
    return image[np.ix_(rows, columns)]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 5), st.integers(1, 7), st.integers(1, 7), st.integers(0, 99)
)
def test_css_shows_each_map_in_its_colours(count, columns, height, width, seed):
    values = np.random.default_rng(seed).integers(0, 256, (count, height, width), np.uint8)
    figure = sprite(values, columns)
    for index in range(count):
        assert (shown(figure, index) == INFERNO[values[index]]).all()


def test_sprite_bytes_repeat():
    values = np.arange(5 * 12, dtype=np.uint8).reshape(5, 3, 4)
    assert sprite(values, 2) == sprite(values, 2)


def test_levels_scale_up_to_the_brightest():
    assert levels(np.array([0.0, 1.0, 2.0, 9.0]), 2.0).tolist() == [0, 128, 255, 255]


def test_levels_of_nothing_are_zero():
    assert not levels(np.zeros((2, 2)), 0.0).any()
    assert levels(np.array([np.nan, np.inf, 1.0]), 1.0).tolist() == [0, 0, 255]


def test_webp_keeps_transparency():
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert Image.open(io.BytesIO(webp(image))).convert("RGBA").getextrema()[3] == (0, 0)


def test_signed_levels_have_none_in_the_middle():
    values = np.array([-9.0, -1.0, 0.0, 0.5, 1.0, 9.0, np.nan])
    assert signed_levels(values, 1.0).tolist() == [1, 1, 128, 192, 255, 255, 128]
    assert signed_levels(values, 0.0).tolist() == [128] * 7
