import pytest
import timm
import torch

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.flows.methods.windowed_daam import WindowedDaam
from tests.flows import windowed
from tests.flows.families import HIERARCHICAL, plain
from tests.flows.reference import photographs_like, small

SWIN = {"img_size": 56, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4)}
FAMILIES = {family.name: family for family in HIERARCHICAL}


def swin(**options):
    return plain("swin_tiny_patch4_window7_224", **(SWIN | options))


def close(found, wanted, tolerance=1e-5):
    scale = wanted.flatten(-2).amax(dim=-1)[..., None, None]
    return ((found - wanted).abs() <= tolerance * scale).all()


def test_equals_daam_where_a_window_is_the_whole_image():
    """A plain transformer is one of one window: both ways to its maps give the same."""
    for options in (
        {},
        {"reg_tokens": 2},
        {"global_pool": "avg"},
        {"global_pool": "avg", "reg_tokens": 2},
    ):
        model = small(**options)
        images = photographs_like(model, 3)
        with create_flow("daam", model) as flow:
            wanted = flow(images)
        with WindowedDaam(model) as flow:
            found = flow(images)
        assert close(found.maps, wanted.maps)
        assert torch.allclose(found.extras["prefix_mass"], wanted.extras["prefix_mass"], atol=1e-6)


def test_shifted_windows_are_placed_on_the_image():
    model, images = swin(), torch.randn(2, 3, 56, 56)
    with create_flow("daam", model) as flow:
        found = flow(images)
    assert [layer.shape[1:] for layer in found.native] == [(14, 14)] * 2 + [(7, 7)] * 2
    for index, image in enumerate(images):
        for layer, wanted in zip(found.native, windowed.daam(model, image), strict=True):
            error = (layer[index].flatten() - wanted).abs().max()
            assert error <= 1e-5 * wanted.max()


def test_a_shift_of_the_image_by_windows_shifts_the_first_map():
    """Windows of the first layer see only their own pixels, and g is the same for all queries."""
    model = swin(depths=(1,), num_heads=(2,))
    images = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(5))
    with create_flow("daam", model, relu=False) as flow:
        plain_map = flow(images, torch.tensor([1])).maps
        moved = flow(images.roll(28, dims=3), torch.tensor([1])).maps
    assert plain_map.shape[2:] == (14, 14)
    assert close(moved, plain_map.roll(7, dims=3), 1e-4)


@pytest.mark.parametrize("family", ["Hiera", "PiT", "LeViT", "MViTv2"])
def test_an_image_does_not_depend_on_its_batch_mates(family):
    model = FAMILIES[family].build()
    images = FAMILIES[family].images(model, 4)
    spoiled = images.clone()
    spoiled[1] = float("nan")
    with create_flow("daam", model) as flow:
        together, beside_nan, alone = flow(images), flow(spoiled), flow(images[:1])
    others = [0, 2, 3]
    assert close(beside_nan.maps[others], together.maps[others])
    assert close(alone.maps, together.maps[:1])
    assert beside_nan.maps[1].isnan().any()


def test_small_slabs_and_the_callers_gradient_mode_change_nothing(monkeypatch):
    model, images = swin(), torch.randn(2, 3, 56, 56)
    with torch.inference_mode(), create_flow("daam", model) as flow:
        wanted = flow(images).maps
    monkeypatch.setattr("pipeline.flows.recording.SLAB", 64)
    with create_flow("daam", model) as flow:
        assert close(flow(images).maps, wanted)


def test_padded_windows_are_refused_with_the_size_as_the_way_out():
    model = swin(img_size=64, window_size=7)
    with (
        create_flow("daam", model) as flow,
        pytest.raises(UnsupportedModel, match="images of a size that its windows divide"),
    ):
        flow(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize(
    ("name", "options", "size", "reason"),
    [
        ("xcit_nano_12_p8_224", {"global_pool": "avg"}, 32, "does not lie on the image"),
        ("tnt_s_patch16_224", {"depth": 1}, 224, "reads a token"),
        ("halonet26t", {}, 256, "not the cells of one lattice"),
    ],
)
def test_other_attention_is_refused_with_the_reason(name, options, size, reason):
    model = timm.create_model(name, num_classes=3, **options).eval()
    with WindowedDaam(model) as flow, pytest.raises(UnsupportedModel, match=reason):
        flow(torch.randn(1, 3, size, size))


def test_a_model_without_heads_is_refused_as_before():
    model = timm.create_model("resnet10t", num_classes=3).eval()
    with pytest.raises(UnsupportedModel, match="not a vision transformer of one resolution"):
        create_flow("daam", model)
