import numpy as np
import pytest
from numpy.random import default_rng
from PIL import Image

from pipeline.synthetic import drawn_artefacts as drawn

GREY = Image.new("RGB", (120, 80), (128, 128, 128))


def draw(name: str, look: int, place: int = 0):
    return getattr(drawn, name)(GREY, default_rng(look), default_rng(place))


@pytest.mark.parametrize("name", ["plate", "sticker", "mark", "text", "watermark", "figure"])
@pytest.mark.parametrize("seed", range(6))
def test_the_box_is_tight_around_what_is_drawn(name, seed):
    changed, [(x0, y0, x1, y1)] = draw(name, seed, seed)
    assert changed.size == GREY.size
    touched = (np.asarray(changed) != 128).any(2)
    outside = touched.copy()
    outside[y0:y1, x0:x1] = False
    # Of a letter's or a disc's faint outermost pixels some are beyond the box.
    assert outside.sum() <= 0.1 * touched.sum()
    for edge in (touched[y0], touched[y1 - 1], touched[:, x0], touched[:, x1 - 1]):
        assert edge.any()


def test_places_are_where_artefacts_of_a_kind_are_met():
    def middle(name: str, seed: int, place: int = 0) -> tuple[float, float]:
        _, [(x0, y0, x1, y1)] = draw(name, seed, place)
        return (x0 + x1) / 240, (y0 + y1) / 160

    for seed in range(8):
        x, y = middle("plate", seed)
        assert abs(x - 0.5) > 0.25
        assert abs(y - 0.5) > 0.25
        x, y = middle("text", seed)
        assert 0.25 < x < 0.75
        assert abs(y - 0.5) > 0.3
        x, y = middle("figure", seed)
        assert abs(x - 0.5) > 0.1
        assert y > 0.5
    assert len({middle("mark", 0, place) for place in range(8)}) == 8
    assert len({middle("sticker", 0, place) for place in range(8)}) == 1
