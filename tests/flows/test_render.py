import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.flows import accumulate, render


def enlarge(frame, size):
    """Bilinear with half-pixel centres, one output pixel at a time."""
    rows, columns = frame.shape
    result = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            v = min(max((y + 0.5) * rows / size[0] - 0.5, 0), rows - 1)
            u = min(max((x + 0.5) * columns / size[1] - 0.5, 0), columns - 1)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            a, b = v - top, u - left
            result[y, x] = (1 - a) * ((1 - b) * frame[top, left] + b * frame[top, right]) + a * (
                (1 - b) * frame[bottom, left] + b * frame[bottom, right]
            )
    return result


def frames(maps, mode):
    """The grid-sized 8-bit frames of one image, (L, h, w), by the two formulas."""
    flow = np.cumsum(np.asarray(maps, dtype=np.float32), axis=0)
    top, bottom = flow[-1].max(), flow[-1].min()
    result = np.zeros(flow.shape, dtype=np.uint8)
    for index, frame in enumerate(flow):
        if mode == "sigmoid":
            if top == 0:
                continue
            z = 1 / (1 + np.exp(-5 * np.float64(frame) / top)) - 0.5
            if z.max() == z.min():
                continue
            result[index] = (255 * ((z - z.min()) / (z.max() - z.min()))).astype(np.uint8)
        else:
            if top == bottom:
                continue
            level = 255 * (frame.max() - frame.min()) / (top - bottom)
            shape = np.maximum(0, (frame - bottom) / (frame.max() - bottom + 1e-10))
            result[index] = np.minimum(level * shape, 255).astype(np.uint8)
    return result


@pytest.mark.parametrize("mode", ["sigmoid", "linear"])
@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 2)])
def test_equals_the_formulas(mode, grid):
    maps = torch.rand(3, 4, *grid, generator=torch.Generator().manual_seed(0))
    found = render(maps, size=(12, 20), mode=mode)
    assert found.dtype == torch.uint8
    assert found.shape == (3, 4, 12, 20)
    assert found.max() > 200
    for image in range(3):
        for layer, frame in enumerate(frames(maps[image].numpy(), mode)):
            wanted = enlarge(frame, (12, 20))
            assert np.abs(found[image, layer].numpy() - wanted).max() <= 0.5 + 1e-3


def test_frames_are_truncated_not_rounded():
    # F = 0, 0.999, 2 → 127.37 → 127 and F = 1.998 → 254.7 → 254
    maps = torch.tensor([[[[0.0, 0.999, 1.998, 2.0]]]])
    assert render(maps, size=(1, 4), mode="linear").tolist() == [[[[0, 127, 254, 255]]]]


def test_linear_brightens_with_depth_and_sigmoid_fills_every_frame():
    maps = torch.rand(1, 5, 6, 6, generator=torch.Generator().manual_seed(1)) ** 4
    linear, sigmoid = (render(maps, (6, 6), mode).flatten(2).amax(-1)[0] for mode in MODES)
    assert (linear.diff().int() >= 0).all()
    assert linear[0] < 255
    assert sigmoid.tolist() == [255] * 5


MODES = ("linear", "sigmoid")


@pytest.mark.parametrize("mode", MODES)
def test_zero_constant_and_broken_maps_are_black(mode):
    maps = torch.zeros(5, 2, 3, 3)
    maps[1] = 1.0  # constant in every layer
    maps[2, 1] = 0.7  # first layer zero, then constant
    maps[3, 0, 1, 1] = torch.nan
    maps[4, 0, 1, 1] = torch.inf
    assert not render(maps, (9, 9), mode).any()


@pytest.mark.parametrize("mode", MODES)
def test_a_zero_layer_before_a_real_one_is_black(mode):
    maps = torch.zeros(1, 2, 2, 2)
    maps[0, 1, 0, 0] = 3.0
    found = render(maps, (2, 2), mode)
    assert found[0].tolist() == [[[0, 0], [0, 0]], [[255, 0], [0, 0]]]


@settings(max_examples=60, deadline=None)
@given(
    maps=hnp.arrays(
        np.float32, (1, 3, 3, 4), elements=st.floats(0, 1000, width=32, allow_subnormal=False)
    ),
    mode=st.sampled_from(MODES),
)
def test_any_maps_equal_the_formulas(maps, mode):
    found = render(torch.from_numpy(maps), (3, 4), mode)[0].numpy().astype(int)
    assert np.abs(found - frames(maps[0], mode)).max() <= 1  # truncation at a rounding's edge


def test_sigmoid_does_not_care_for_the_scale():
    maps = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    assert torch.equal(render(maps, (8, 8)), render(maps * 2.0**-40, (8, 8)))


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="no mode"):
        render(torch.rand(1, 1, 2, 2), (4, 4), "jet")


def test_accumulate_sums_over_layers():
    maps = torch.rand(2, 4, 3, 3)
    flow = accumulate(maps)
    assert torch.equal(flow[:, 0], maps[:, 0])
    assert torch.allclose(flow[:, -1], maps.sum(dim=1))
    assert torch.allclose(flow[:, 2] - flow[:, 1], maps[:, 2], atol=1e-6)
