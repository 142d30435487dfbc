import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.audit.compare.mean_flows import MAPS_SCHEMA
from pipeline.report.pictures.mean_flows import draw_mean_flows
from pipeline.report.pictures.palettes import DIVERGING


def table_of(*pairs):
    height, width = pairs[0][0].shape
    rows = [
        {
            "class": None if number == 0 else number,
            "class_name": None if number == 0 else f"class {number}",
            "height": height,
            "width": width,
            "flow": one.ravel(),
            "other_flow": other.ravel(),
        }
        for number, (one, other) in enumerate(pairs)
    ]
    return pa.Table.from_pylist(rows, MAPS_SCHEMA)


@pytest.fixture
def flows():
    one, other = np.full((3, 6), 1 / 18), np.full((3, 6), 1 / 18)
    other[0, 0] += 0.04
    other[2, 5] -= 0.02
    return draw_mean_flows(table_of((one, one), (one, other)))


def test_gains_and_losses_are_said_where_they_are(flows):
    whole, changed = flows.rows
    assert (whole.name, whole.words) == (None, "no difference")
    assert changed.words == "most gained at the top left, most lost at the bottom right"


def test_scales_are_multiples_of_an_even_map(flows):
    assert flows.top == pytest.approx(1, rel=0.05)
    assert 0 < flows.most <= 0.04 * 18 + 1e-6


def test_more_is_orange_less_is_purple_and_none_is_pale(flows):
    pixels = np.asarray(Image.open(io.BytesIO(flows.signed.content)).convert("RGB"), int)
    gained, lost, same = pixels[-4, 1], pixels[-2, 6], pixels[1, 1]
    assert gained[0] > gained[2] + 50
    assert lost[2] > lost[0]
    np.testing.assert_array_equal(same, DIVERGING[128])


def test_nothing_is_drawn_of_no_maps():
    assert draw_mean_flows(MAPS_SCHEMA.empty_table()) is None
