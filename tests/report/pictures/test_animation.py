import io

import numpy as np
import pytest
from PIL import Image

from pipeline.report.pictures.animation import SIDE, animate


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 6, 8), (12, 14, 14)])
def test_there_is_a_frame_per_layer_and_a_cell_is_a_square_of_pixels(shape):
    flow = np.random.default_rng(0).random(shape).cumsum(axis=0)
    image = Image.open(io.BytesIO(animate(flow)))
    cell = SIDE // max(shape[1:])
    assert image.size == (shape[2] * cell, shape[1] * cell)
    assert getattr(image, "n_frames", 1) == shape[0]
    image.seek(shape[0] - 1)
    frame = np.asarray(image.convert("RGB"))
    squares = frame.reshape(shape[1], cell, shape[2], cell, 3)
    assert (squares == squares[:, :1, :, :1]).all()


def test_frames_grow_brighter_as_mass_gathers_and_nothing_is_lost_on_nan():
    flow = np.full((3, 4, 4), 0.1).cumsum(axis=0)
    flow[:, 0, 0] = np.nan
    image = Image.open(io.BytesIO(animate(flow)))
    means = []
    for frame in range(3):
        image.seek(frame)
        means.append(np.asarray(image.convert("L"), float).mean())
    assert means[0] < means[1] < means[2]


def test_same_flow_gives_the_same_bytes():
    flow = np.random.default_rng(1).random((3, 5, 5))
    assert animate(flow) == animate(flow.copy())
    assert Image.open(io.BytesIO(animate(np.zeros((2, 3, 3))))).convert("RGB").getextrema()[1] == (
        0,
        0,
    )
