import numpy as np
import pytest
import timm
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.measures.activations import BINS, EDGES
from pipeline.models import embed

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}
TRANSFORMERS = {
    "class token": ("vit_tiny_patch16_224", SMALL),
    "registers": ("vit_tiny_patch16_224", {**SMALL, "reg_tokens": 3}),
    "distilled": ("deit_tiny_distilled_patch16_224", SMALL),
    "not square": ("vit_tiny_patch16_224", {**SMALL, "img_size": (32, 48)}),
}
OTHERS = ["resnet10t", "mobilenetv2_035", "convnext_atto", "regnetx_002", "vgg11", "densenet121"]


def build(name: str, options: dict[str, object] | None = None, classes: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=classes, **(options or {})).eval()


def outputs_of(model: nn.Module, modules: list[str], images: torch.Tensor) -> list[torch.Tensor]:
    """Return what the named modules put out in a plain forward pass."""
    seen: list[torch.Tensor] = []
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda m, i, output: seen.append(output))
        for name in modules
    ]
    model(images)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("case", TRANSFORMERS)
@torch.no_grad()
def test_blocks_of_a_transformer(case: str) -> None:
    model = build(*TRANSFORMERS[case])
    height, width = model.patch_embed.img_size
    images = torch.randn(2, 3, height, width)
    blocks = [f"blocks.{i}" for i in range(3)]
    tokens = outputs_of(model, blocks, images)
    with create_flow("activation", model) as flow:
        found = flow(images)
    assert found.layers == tuple(blocks)
    for layer, block in enumerate(tokens):
        norms = block[:, model.num_prefix_tokens :].norm(dim=2)
        torch.testing.assert_close(found.maps[:, layer].flatten(1), norms)
    assert found.maps.shape[2:] == (height // 8, width // 8)
    assert torch.equal(found.logits, model(images))
    assert torch.equal(found.target, found.logits.argmax(1))
    assert found.native == ()


@pytest.mark.parametrize("name", OTHERS)
@torch.no_grad()
def test_stages_of_a_convolutional_network(name: str) -> None:
    model = build(name)
    images = torch.randn(2, 3, 64, 96)
    with create_flow("activation", model) as flow:
        found = flow(images)
    assert torch.allclose(found.logits, model(images), atol=1e-6)
    assert found.maps.shape == (2, len(found.layers), 4, 6)
    assert len(found.native) == len(found.layers) == len(model.feature_info)
    sums = torch.stack([native.sum((1, 2)) for native in found.native], 1)
    torch.testing.assert_close(found.maps.sum((2, 3)), sums)
    last = outputs_of(model, [found.layers[-1]], images)[0]
    if last.shape[2:] == found.native[-1].shape[1:]:
        torch.testing.assert_close(found.native[-1], last.norm(dim=1))


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "resnet10t", "swin_tiny_patch4_window7_224"]
)
def test_without_a_head_nothing_is_predicted(name: str) -> None:
    model = build(name, SMALL if name.startswith("vit") else {}, classes=0)
    side = 224 if name.startswith("swin") else 32
    with create_flow("activation", model) as flow:
        found = flow(torch.randn(2, 3, side, side))
    assert found.logits.shape == (2, 0)
    assert found.target.tolist() == [-1, -1]
    assert (found.maps > 0).any((2, 3)).all()


def test_batch_mates_do_not_matter() -> None:
    model, images = build("vit_tiny_patch16_224", SMALL), torch.randn(32, 3, 32, 32)
    order = torch.randperm(32)
    with create_flow("activation", model) as flow:
        together, shuffled = flow(images).maps, flow(images[order]).maps
        alone = torch.cat([flow(image[None]).maps for image in images[:4]])
    torch.testing.assert_close(shuffled, together[order], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(alone, together[:4], rtol=1e-5, atol=1e-6)


def test_a_grid_of_ones_own() -> None:
    with create_flow("activation", build("resnet10t"), grid=(3, 5)) as flow:
        assert flow(torch.randn(1, 3, 64, 64)).maps.shape[2:] == (3, 5)


def test_targets_are_checked_and_handed_through() -> None:
    with create_flow("activation", build("resnet10t")) as flow:
        images = torch.randn(2, 3, 32, 32)
        assert flow(images, torch.tensor([3, 1])).target.tolist() == [3, 1]
        with pytest.raises(ValueError, match="classes 0 … 4"):
            flow(images, torch.tensor([3, 5]))


def test_parameters_get_their_gradients_back() -> None:
    model = build("resnet10t")
    with create_flow("activation", model) as flow:
        flow(torch.randn(1, 3, 32, 32))
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_model_without_intermediates_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="forward_intermediates"):
        create_flow("activation", nn.Linear(2, 2))


def test_names_that_timm_gives_twice_are_numbered():
    model = timm.create_model("crossvit_tiny_240", num_classes=3).eval()
    with create_flow("activation", model) as flow:
        layers = flow(torch.randn(1, 3, 240, 240)).layers
    assert len(set(layers)) == len(layers) == 6


def test_a_head_in_name_only_is_refused_in_a_sentence():
    model = timm.create_model("test_vit", num_classes=3).eval()

    def forward_head(features, pre_logits=False):
        raise NotImplementedError("no classification")

    model.forward_head = forward_head
    side = model.pretrained_cfg["input_size"][-1]
    with create_flow("activation", model) as flow, pytest.raises(UnsupportedModel, match="no head"):
        flow(torch.randn(1, 3, side, side))
    with pytest.raises(UnsupportedModel, match="use a model with a head"):
        embed(model, torch.randn(1, 3, side, side))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet10t"])
@torch.no_grad()
def test_channels_are_counted_as_a_plain_histogram_counts_them(name: str) -> None:
    model = build(name, SMALL if name.startswith("vit") else None)
    images = torch.randn(3, 3, 32, 32) * torch.tensor([1.0, 4.0, 0.2])[:, None, None, None]
    _, stages = model.forward_intermediates(images)
    with create_flow("activation", model, channels=True) as flow:
        found = flow(images)
        alone = [flow(images[[i]]) for i in range(3)]
    lying = [s for s in stages if len(stages) == len(found.layers)]
    peaks, counts = found.extras["channel_peaks"], found.extras["channel_counts"]
    most = max(stage.shape[1] for stage in lying)
    assert counts.shape == (3, len(lying), most, BINS)
    for layer, stage in enumerate(lying):
        channels = stage.shape[1]
        for image in range(3):
            for channel in range(channels):
                values = stage[image, channel].flatten().numpy()
                bins = np.searchsorted(EDGES, values, side="right")
                expected = np.bincount(bins, minlength=BINS)
                assert np.array_equal(counts[image, layer, channel].numpy(), expected)
                assert peaks[image, layer, channel] == values.max()
        assert not counts[:, layer, channels:].any()
        assert (peaks[:, layer, channels:] == -torch.inf).all()
    for i, own in enumerate(alone):
        # Values may round otherwise in another batch, and then lie beyond an edge.
        moved = (own.extras["channel_counts"][0] - counts[i]).abs().sum()
        assert moved <= 1e-4 * counts[i].sum()
        torch.testing.assert_close(own.extras["channel_peaks"][0], peaks[i])
    with create_flow("activation", model) as flow:
        assert flow(images).extras == {}
