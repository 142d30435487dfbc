"""Pixels and boxes go through the transform that the model was evaluated with."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform

from pipeline.errors import ConfigError
from pipeline.images import InputTransform, crop_alike
from tests.images.gallery import picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _transform(
    size: tuple[int, int] = (32, 32),
    interpolation: str = "bicubic",
    crop_pct: float = 0.875,
    crop_mode: str = "center",
) -> InputTransform:
    return InputTransform(size, MEAN, STD, interpolation, crop_pct, crop_mode)


def _timm(transform: InputTransform, image: Image.Image) -> torch.Tensor:
    result = create_transform(
        input_size=(3, *transform.size),
        mean=transform.mean,
        std=transform.std,
        interpolation=transform.interpolation,
        crop_pct=transform.crop_pct,
        crop_mode=transform.crop_mode,
    )(image)
    assert isinstance(result, torch.Tensor)
    return result


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([(32, 32), (24, 40), (33, 17)]),
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]),
    st.sampled_from([0.5, 0.875, 0.9, 0.95, 1.0]),
    st.sampled_from(["center", "squash", "border"]),
    st.tuples(st.integers(4, 90), st.integers(4, 90)),
)
def test_inputs_equal_timms(
    size: tuple[int, int],
    interpolation: str,
    crop_pct: float,
    crop_mode: str,
    image_size: tuple[int, int],
) -> None:
    transform = _transform(size, interpolation, crop_pct, crop_mode)
    image = picture(*image_size)
    pixels = transform(image)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (3, *size))
    ours = transform.normalise(torch.from_numpy(pixels)[None])
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours[0], _timm(transform, image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("image_size", [(3000, 40), (40, 3000), (224, 224), (500, 375)])
def test_inputs_of_real_sizes_equal_timms(crop_mode: str, image_size: tuple[int, int]) -> None:
    transform = _transform((224, 224), "bicubic", 0.9, crop_mode)
    image = picture(*image_size)
    ours = transform.normalise(torch.from_numpy(transform(image))[None])[0]
    torch.testing.assert_close(ours, _timm(transform, image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_slivers_do_not_fill_the_memory(crop_mode: str, turned: bool) -> None:
    size = (1, 30_000) if turned else (30_000, 1)
    image = Image.new("RGB", size, (10, 200, 30))
    pixels = _transform((224, 224), crop_mode=crop_mode)(image)
    assert pixels.shape == (3, 224, 224)
    if crop_mode != "border":
        assert (pixels.reshape(3, -1).T == (10, 200, 30)).all()


def test_a_cut_before_resizing_is_nearly_the_cut_after(monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture(200, 40)
    transform = _transform((32, 32))
    whole = transform(image).astype(int)
    monkeypatch.setattr("pipeline.images.transform._MOST_PIXELS", 0)
    for resize in ("pillow", "torch"):
        cut = replace(transform, resize=resize)(image).astype(int)
        assert np.abs(whole - cut)[:, :, 2:-2].max() <= 1
        assert np.abs(whole - cut).max() <= 8


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([(32, 32), (24, 40), (33, 17)]),
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
    st.sampled_from([0.5, 0.875, 0.9, 1.0]),
    st.sampled_from(["center", "squash", "border"]),
    st.tuples(st.integers(4, 90), st.integers(4, 90)),
    st.integers(0, 99),
)
def test_whoever_resizes_sees_the_same_image(
    size: tuple[int, int],
    interpolation: str,
    crop_pct: float,
    crop_mode: str,
    image_size: tuple[int, int],
    seed: int,
) -> None:
    by_pillow = _transform(size, interpolation, crop_pct, crop_mode)
    by_torch = replace(by_pillow, resize="torch")
    noise = np.random.default_rng(seed).integers(0, 256, (*image_size, 3), dtype=np.uint8)
    expected, found = by_pillow(noise), by_torch(noise)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    most = {"bilinear": 1, "bicubic": 2}.get(interpolation, 0)
    assert np.abs(found.astype(int) - expected).max() <= most
    for transform, pixels in ((by_pillow, expected), (by_torch, found)):
        assert np.array_equal(transform(Image.fromarray(noise)), pixels)


def test_only_a_transform_that_torch_computes_says_so() -> None:
    transform = replace(_transform(), resize="torch")
    assert transform.to_dict()["resize"] == "torch"
    assert InputTransform.from_dict(transform.to_dict()) == transform
    for other in (_transform(), replace(transform, interpolation="lanczos")):
        assert "resize" not in other.to_dict()
        assert not other.by_torch


def test_transforms_that_crop_alike_may_resize_by_other_means() -> None:
    one = _transform()
    assert crop_alike(one.to_dict(), replace(one, resize="torch").to_dict())
    assert not crop_alike(one.to_dict(), replace(one, crop_pct=1.0).to_dict())


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([(64, 64), (48, 80)]),
    st.sampled_from(["center", "squash", "border"]),
    st.sampled_from([0.5, 0.875, 1.0]),
    st.tuples(st.integers(60, 300), st.integers(60, 300)),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_boxes_go_where_painted_boxes_go(
    size: tuple[int, int],
    crop_mode: str,
    crop_pct: float,
    image_size: tuple[int, int],
    box: tuple[float, float, float, float],
) -> None:
    width, height = image_size
    x0, x1 = sorted(round(value * width) for value in box[:2])
    y0, y1 = sorted(round(value * height) for value in box[2:])
    x1, y1 = max(x1, min(x0 + 12, width)), max(y1, min(y0 + 12, height))
    image = Image.new("RGB", image_size, "black")
    image.paste("white", (x0, y0, x1, y1))
    transform = InputTransform(size, (0, 0, 0), (1, 1, 1), "bilinear", crop_pct, crop_mode)
    found = transform(image)[0] > 127
    boxes = transform.boxes([(x0, y0, x1, y1)], width, height)
    assert boxes.dtype == np.float32
    expected = np.zeros((2, 4))
    if len(boxes):
        expected[1] = boxes[0] * np.array(size[::-1] * 2)
    if not found.any():
        assert not len(boxes) or (expected[1, 2:] - expected[1, :2]).min() <= 1.5
        return
    rows, columns = np.flatnonzero(found.any(1)), np.flatnonzero(found.any(0))
    painted = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert np.abs(expected[1] - painted).max() <= 1.01


def test_boxes_beyond_the_crop_are_dropped_and_others_clipped() -> None:
    transform = _transform((50, 50), crop_pct=1.0)
    boxes = [(0, 0, 40, 100), (0, 0, 75, 50), (100, 25, 100, 75), (-10, -10, 300, 300)]
    moved = transform.boxes(boxes, 200, 100)  # columns 50 to 150 are kept
    np.testing.assert_allclose(moved, [(0, 0, 0.25, 0.5), (0, 0, 1, 1)])
    assert transform.boxes([], 200, 100).shape == (0, 4)


def test_padding_moves_boxes() -> None:
    transform = _transform((50, 50), crop_pct=1.0, crop_mode="border")
    moved = transform.boxes([(0, 0, 200, 100)], 200, 100)
    np.testing.assert_allclose(moved, [(0, 0.26, 1, 0.76)], atol=0.02)


def test_a_transform_survives_json() -> None:
    transform = _transform((24, 40), "lanczos", 0.95, "border")
    assert InputTransform.from_dict(json.loads(json.dumps(transform.to_dict()))) == transform


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interpolation": "random"}, "interpolation must be one of"),
        ({"crop_mode": "middle"}, "crop_mode must be one of"),
        ({"resize": "opencv"}, "resize must be one of"),
        ({"size": [0, 4]}, "must be positive"),
        ({"crop_pct": 0.0}, "must be positive"),
        ({"std": [0, 1, 1]}, "must be positive"),
        ({"colour": 1}, "has no field colour"),
    ],
)
def test_wrong_parameters_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InputTransform.from_dict(_transform().to_dict() | change)


def test_normalising_leaves_its_input_alone() -> None:
    pixels = torch.full((2, 3, 4, 4), 128, dtype=torch.uint8)
    result = _transform().normalise(pixels)
    assert (pixels == 128).all()
    expected = (128 / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(result[1, :, 2, 3], expected)
