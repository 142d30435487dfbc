"""Encoders of every kind, split behind a layer."""

import pytest
import timm
import torch
from torch import nn

from pipeline.errors import ConfigError, UnsupportedModel
from pipeline.models.structure.embedding import embed
from pipeline.models.structure.split_encoder import SplitEncoder, default_layer, layers_of
from tests.flows.reference import small


def network(name="resnet10t"):
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=3).eval()


@pytest.mark.parametrize(
    ("model", "layer", "axes", "prefix", "grid"),
    [
        (small, "blocks.1", "BNC", 1, (3, 5)),
        (lambda: small(reg_tokens=2), "blocks.0", "BNC", 3, (3, 5)),
        (lambda: small(class_token=False, global_pool="avg"), "blocks.2", "BNC", 0, (3, 5)),
        (network, "layer3", "BCHW", 0, (4, 6)),
        (lambda: network("test_convnext"), None, "BCHW", 0, (2, 3)),
    ],
)
def test_the_embedding_is_a_function_of_what_the_layer_puts_out(model, layer, axes, prefix, grid):
    model = model()
    size = (24, 40) if axes == "BNC" else (64, 96)
    images = torch.randn(2, 3, *size)
    encoder = SplitEncoder(model, layer)
    places = encoder.places(images)
    assert (places.axes, places.num_prefix_tokens, places.grid) == (axes, prefix, grid)
    values, embeddings = encoder.split(images)
    assert torch.allclose(embeddings, embed(model, images))
    blank = torch.zeros_like(images)
    assert torch.allclose(encoder.embed(values, blank), embeddings, atol=1e-5)
    assert not torch.allclose(embed(model, blank), embeddings, atol=1e-2)
    assert places.of_tokens(values).shape == (2, prefix + grid[0] * grid[1])
    token = values[:, prefix + 1] if axes == "BNC" else values[:, :, 0, 1]
    assert torch.allclose(places.of_tokens(values)[:, prefix + 1], token.sum(-1), atol=1e-4)


def test_a_channels_last_map_is_one_too():
    model = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=56, embed_dim=8, depths=(1, 1), num_heads=(1, 2)
    ).eval()
    images = torch.randn(1, 3, 56, 56)
    encoder = SplitEncoder(model, "layers.1")
    places = encoder.places(images)
    assert (places.axes, places.grid) == ("BHWC", (7, 7))
    values, _ = encoder.split(images)
    assert torch.allclose(places.of_tokens(values)[0, 8], values[0, 1, 1].sum(), atol=1e-5)


def test_a_layer_that_something_passes_by_is_refused():
    with pytest.raises(UnsupportedModel, match=r"not all that reaches the embedding .* use "):
        SplitEncoder(network(), "layer2.0.conv2").places(torch.randn(1, 3, 64, 96))


def test_a_layer_without_places_on_the_image_is_refused():
    for layer in ("norm", "patch_embed.proj"):
        encoder = SplitEncoder(small(), layer)
        if layer == "norm":
            assert encoder.places(torch.randn(1, 3, 24, 40)).num_prefix_tokens == 1
    with pytest.raises(UnsupportedModel, match="no known places on the image"):
        SplitEncoder(small(), "head_drop").places(torch.randn(1, 3, 24, 40))


def test_a_module_that_does_not_run_once_or_does_not_exist_is_refused():
    model = network()
    with pytest.raises(ConfigError, match=r"no module 'blocks\.0'; use one of .*layer4"):
        SplitEncoder(model, "blocks.0")
    with pytest.raises(UnsupportedModel, match="runs 0 times"):
        SplitEncoder(model, "fc").places(torch.randn(1, 3, 64, 96))


def test_a_model_without_an_embedding_or_layers_is_refused():
    with pytest.raises(UnsupportedModel, match="no forward_features and forward_head"):
        SplitEncoder(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()))
    assert layers_of(nn.Linear(2, 2)) == ()
    with pytest.raises(UnsupportedModel, match="name a layer"):
        default_layer(nn.Linear(2, 2))


def test_the_default_is_three_quarters_of_the_depth_or_the_last_stage():
    assert default_layer(small(depth=12)) == "blocks.8"
    assert default_layer(small(depth=1)) == "blocks.0"
    assert default_layer(network()) == "layer4"


def test_patches_before_the_class_token_are_all_that_passes():
    images = torch.randn(1, 3, 24, 40)
    places = SplitEncoder(small(), "patch_embed").places(images)
    assert (places.num_prefix_tokens, places.grid) == (0, (3, 5))
