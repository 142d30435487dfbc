import pytest
import timm
import torch
from torch import nn

from pipeline.errors import UnsupportedModel
from pipeline.flows import create_flow
from pipeline.models.structure.towers import found_anatomy
from tests.flows import reference
from tests.flows.towers import Plain
from tests.models.structure.towers import Vit

IMAGES = torch.zeros(1, 3, 32, 48)


def found(model, images=IMAGES):
    return found_anatomy(model.eval().requires_grad_(False), images)


@pytest.mark.parametrize("kind", ["plain", "packed", "by hand", "biased"])
def test_blocks_of_any_attention_are_layers(kind):
    model = Vit(kind, prefix=5)
    parts = found(model)
    assert parts.names == ("layers.0", "layers.1")
    assert [layer.block for layer in parts.layers] == list(model.layers)
    assert [(layer.rows, layer.prefix) for layer in parts.layers] == [(slice(0, 1), 5)] * 2
    assert (parts.readout, parts.num_prefix_tokens, parts.num_classes) == ("token", 5, 5)
    assert parts.grid(32, 48) == (2, 3)


@pytest.mark.parametrize("first", [True, False])
def test_the_last_block_puts_out_tokens_of_either_order(first):
    model = Plain(first)
    parts = found(model)
    assert parts.last is model.encoder.layers[-1]
    tokens = torch.zeros((2, 6, 24) if first else (6, 2, 24))
    assert parts.tokens_of(tokens).shape == (2, 6, 24)
    assert parts.tokens_of((tokens, None)).shape == (2, 6, 24)


def test_one_block_is_not_the_whole_model():
    assert found(Vit(depth=1)).names == ("layers.0",)


REFUSED = {
    "causal": (Vit("causal"), "a causal mask"),
    "all but one patch": (Vit("neighbours"), "do not lie on the image row by row"),
    "talking heads": (Vit("talking heads"), "no attention that can be seen"),
    "heads before images": (Vit("heads first"), "attends within parts of the image"),
    "columns": (Vit(order="columns"), "do not lie on the image row by row"),
    "mirrored": (Vit(order="mirrored"), "do not lie on the image row by row"),
    "shuffled": (Vit(order="shuffled"), "do not lie on the image row by row"),
    "tokens behind": (Vit(suffix=2), "do not lie on the image row by row"),
    "nothing is read": (Vit(read="nothing"), "cuts the gradient"),
    "convolutions": (nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten()), "no attention that can be"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_seen_exactly_is_refused_with_a_way_out(kind):
    model, sentence = REFUSED[kind]
    with pytest.raises(UnsupportedModel, match=sentence) as caught:
        found(model)
    assert "use " in str(caught.value)


def test_a_model_that_drops_tokens_on_the_way_is_refused():
    model = Vit(prefix=2)
    model.layers[0].register_forward_hook(lambda module, inputs, tokens: tokens[:, 1:])
    with pytest.raises(UnsupportedModel, match="adds, drops or pools tokens"):
        found(model)


def test_a_model_that_merges_patches_on_the_way_is_refused():
    model = Vit(prefix=0, read="mean")
    model.layers[0].register_forward_hook(lambda module, inputs, x: (x[:, :3] + x[:, 3:]) / 2)
    with pytest.raises(UnsupportedModel, match=r"3 tokens in layers\.1 where its image has 2 × 3"):
        found(model)


def test_a_block_that_runs_twice_is_refused():
    model = Vit(depth=1)
    model.layers = nn.ModuleList([model.layers[0]] * 2)
    with pytest.raises(UnsupportedModel, match=r"several attentions in layers\.0.*as a module"):
        found(model)


class Wrapped(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.tower = reference.small(**options)

    def forward(self, images):
        return {"logits": self.tower(images)}


@pytest.mark.parametrize(
    "options", [{}, {"global_pool": "avg", "reg_tokens": 2}, {"class_token": 0}]
)
@pytest.mark.parametrize("method", ["daam", "attention", "rollout", "relevance"])
def test_a_model_in_a_wrapper_has_the_maps_of_the_model(method, options):
    options = {"global_pool": "avg", "class_token": False} if "class_token" in options else options
    model = Wrapped(**options).eval()
    images = reference.photographs_like(model.tower, 2)
    with create_flow(method, model.tower) as flow:
        wanted = flow(images)
    with create_flow(method, model) as flow:
        result = flow(images)
    assert result.layers == tuple(f"tower.{layer}" for layer in wanted.layers)
    assert torch.equal(result.maps, wanted.maps)
    assert torch.equal(result.logits, wanted.logits)
    for name, extra in wanted.extras.items():
        assert torch.equal(result.extras[name], extra)


def test_an_attention_pool_in_a_wrapper():
    model = Wrapped(global_pool="map").eval()
    images = reference.photographs_like(model.tower, 2)
    with create_flow("daam", model.tower) as flow:
        wanted = flow(images)
    with create_flow("daam", model) as flow:
        result = flow(images)
    assert result.layers[-1] == "tower.attn_pool"
    assert torch.equal(result.maps, wanted.maps)


def test_images_of_another_size_are_looked_at_again():
    model = Vit().eval()
    with create_flow("daam", model) as flow:
        assert flow(torch.randn(2, 3, 32, 48)).maps.shape == (2, 2, 2, 3)
        assert flow(torch.randn(2, 3, 48, 16)).maps.shape == (2, 2, 3, 1)
        assert flow(torch.randn(2, 3, 32, 48)).maps.shape == (2, 2, 2, 3)


def test_windows_of_timm_in_a_wrapper_are_refused():
    model = Plain(True)
    model.encoder = nn.Identity()
    model.embed = timm.create_model("swin_tiny_patch4_window7_224", img_size=56, num_classes=0)
    model.forward = model.embed.forward
    with pytest.raises(UnsupportedModel, match="use flow"):
        found(model, torch.zeros(1, 3, 56, 56))
