import pytest
import timm
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.models import embed
from pipeline.models.structure.activations import last_activations

SMALL = {"img_size": (24, 40), "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
VIT = "vit_tiny_patch16_224"
SIZE = (64, 96)
SWIN = {"img_size": 56, "embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
CASES = {
    "class token": (VIT, SMALL, (24, 40), (3, 5)),
    "one block": (VIT, {**SMALL, "depth": 1, "reg_tokens": 2}, (24, 40), (3, 5)),
    "distilled": ("deit_tiny_distilled_patch16_224", SMALL, (24, 40), (3, 5)),
    "average": (VIT, {**SMALL, "global_pool": "avg"}, (24, 40), (3, 5)),
    "attention pool": (VIT, {**SMALL, "global_pool": "map"}, (24, 40), (3, 5)),
    "class attention": ("cait_xxs24_224", {**SMALL, "depth": 2}, (24, 40), (3, 5)),
    "cross-covariance": ("xcit_nano_12_p8_224", {"depth": 2}, (32, 48), (4, 6)),
    "rotary": ("eva02_tiny_patch14_224", {**SMALL, "global_pool": "token"}, (24, 40), (3, 5)),
    "windows": ("swin_tiny_patch4_window7_224", SWIN, (56, 56), (2, 2)),
    "residual": ("resnet10t", {}, SIZE, (2, 3)),
    "projector": ("mobilenetv3_small_050", {}, SIZE, (2, 3)),
    "norm behind the pool": ("convnext_atto", {}, SIZE, (2, 3)),
}


def build(case: str) -> tuple[nn.Module, torch.Tensor, tuple[int, int]]:
    name, options, size, grid = CASES[case]
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, **options).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and "vit" in name:
                parameter.normal_(std=0.1)
    return model, torch.randn(2, 3, *size), grid


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["model", "pooled"])
def test_embedding_and_grid(case: str, kind: str) -> None:
    model, images, grid = build(case)
    found = last_activations(model, images, kind)
    assert found.maps.shape[2:] == grid
    torch.testing.assert_close(found.embedding, embed(model, images, kind), rtol=1e-4, atol=1e-5)
    weights = torch.rand(found.embedding.shape)
    pulled = found.pull_back(weights)
    assert pulled.shape == found.maps.shape
    assert not found.embedding.requires_grad
    if kind == "pooled":
        torch.testing.assert_close(found.maps.mean((2, 3)), found.embedding, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_way_back_is_the_gradient(case: str) -> None:
    model, images, _ = build(case)
    model, images = model.double(), images.double()
    found = last_activations(model, images)
    weights = torch.randn(found.embedding.shape, dtype=torch.float64)
    pulled = found.pull_back(weights)
    assert pulled.abs().flatten(1).sum(1).gt(0).all()
    # Along the direction of the activations themselves: scale them by 1 ± ε.
    step, cells = 1e-5, found.maps.shape[2] * found.maps.shape[3]
    moved = [_embed_scaled(model, images, 1 + sign * step) for sign in (1, -1)]
    slope = ((moved[0] - moved[1]) * weights).sum(1) / (2 * step)
    expected = (pulled * found.maps).sum((1, 2, 3)) / cells
    torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-7)


def _embed_scaled(model: nn.Module, images: torch.Tensor, factor: float) -> torch.Tensor:
    """Embed images with the patches' last activations multiplied by a factor."""
    prefix = int(getattr(model, "num_prefix_tokens", 0) or 0)
    if getattr(model, "global_pool", None) != "token":
        features = model.forward_features(images)
        prefix = prefix if features.ndim == 3 else 0
        scaled = features.clone()
        scaled[:, prefix:] *= factor
        return model.forward_head(scaled, pre_logits=True)

    layer = last_activations(model, images).layer

    def read(attention: nn.Module, inputs: tuple) -> tuple:
        tokens = inputs[0].clone()
        tokens[:, prefix:] *= factor
        return (tokens, *inputs[1:])

    hook = model.get_submodule(f"{layer}.attn").register_forward_pre_hook(read)
    try:
        return embed(model, images)
    finally:
        hook.remove()


def test_a_pooled_embedding_pulls_back_the_weights_themselves() -> None:
    model, images, _ = build("residual")
    weights = torch.rand(2, 512)
    by_gradient = last_activations(model, images, "model").pull_back(weights)
    torch.testing.assert_close(by_gradient, weights[:, :, None, None].expand_as(by_gradient))


@pytest.mark.parametrize("name", ["crossvit_9_240", "levit_128s"])
def test_models_without_one_grid_are_refused(name: str) -> None:
    model = timm.create_model(name, num_classes=0).eval()
    side = model.pretrained_cfg["input_size"][-1]
    with pytest.raises(UnsupportedModel, match="use "):
        last_activations(model, torch.randn(1, 3, side, side))
