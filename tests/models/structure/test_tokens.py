import pytest
import timm
import torch

from pipeline.models.structure.tokens import has_tokens, read_tokens
from tests.flows.convolutional import build
from tests.flows.reference import photographs_like, small


@pytest.mark.parametrize("registers", [0, 2])
def test_points_are_what_the_attentions_read(registers):
    model = small(reg_tokens=registers)
    images = photographs_like(model, 2)
    kept = []
    for block in model.blocks:
        block.attn.register_forward_pre_hook(lambda module, args: kept.append(args[0]))
    tokens = read_tokens(model, images)
    assert tokens.layers == ("blocks.0.norm1", "blocks.1.norm1", "blocks.2.norm1")
    assert all(map(torch.equal, kept, tokens.points))
    assert tokens.num_prefix_tokens == 1 + registers
    assert torch.equal(tokens.logits, model(images))
    maps = tokens.as_maps(tokens.points)[1]
    assert maps.shape == (2, 24, 3, 5)
    assert torch.equal(maps[1, :, 2, 4], tokens.points[1][1, -1])
    assert torch.equal(maps[1, :, 0, 1], tokens.points[1][1, registers + 2])


def test_the_graph_starts_at_the_first_norm():
    model = small().requires_grad_(False)
    tokens = read_tokens(model, photographs_like(model, 1))
    assert tokens.points[0].is_leaf
    gradients = torch.autograd.grad(tokens.logits[:, 0].sum(), tokens.points)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_only_transformers_of_one_resolution_have_tokens():
    assert has_tokens(small())
    assert not has_tokens(build("ResNet"))
    assert not has_tokens(timm.create_model("mixer_s32_224"))
    assert not has_tokens(timm.create_model("swin_tiny_patch4_window7_224", depths=(1, 1)))
