import pytest
import torch
from torch.nn import functional as F

from pipeline.errors import UnsupportedModel
from pipeline.flows.recording import Attention, record
from pipeline.models import anatomy
from tests.flows.reference import photographs_like, small


def attention(mask=None, scale=0.4):
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, 6, 4, generator=generator) for _ in range(3))
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    return Attention(query, key, value, mask, scale, output)


def masks():
    generator = torch.Generator().manual_seed(1)
    floats = torch.randn(2, 3, 6, 6, generator=generator)
    seen = floats > -0.5
    seen[..., 0] = True
    return {
        "none": None,
        "per head": floats[:1],
        "shared": floats[0, 0],
        "keys only": floats[:, :1, :1],
        "boolean": seen,
        "boolean keys": seen[:, :1, :1],
        "half precision": floats.bfloat16().float(),
    }


@pytest.mark.parametrize("kind", masks())
def test_rows_weigh_the_values_into_the_output(kind):
    it = attention(masks()[kind])
    rows = it.rows(slice(0, 4, 3))
    assert rows.shape == (2, 3, 2, 6)
    assert torch.allclose(rows.sum(-1), torch.ones(2, 3, 2))
    assert torch.allclose(rows @ it.value, it.output[:, :, [0, 3]], atol=1e-6)


def test_rows_are_float32_for_half_precision_inputs():
    it = attention()
    half = Attention(it.query.half(), it.key.half(), it.value.half(), None, 0.4, it.output)
    assert half.rows(slice(0, 1)).dtype == torch.float32
    assert torch.allclose(half.rows(slice(0, 1)), it.rows(slice(0, 1)), atol=1e-3)


def test_the_graph_starts_at_the_first_attention():
    model = small().requires_grad_(False)
    recording = record(anatomy(model), model, photographs_like(model, 2), verify=True)
    assert [a.output.is_leaf for a in recording.attentions] == [True, False, False]
    assert all(a.output.requires_grad for a in recording.attentions)
    assert not any(a.query.requires_grad for a in recording.attentions)
    assert recording.tokens.shape == (2, 16, 24)


def test_a_call_outside_the_blocks_is_not_recorded():
    model = small().requires_grad_(False)

    def forward(images):
        token = torch.zeros(1, 1, 2, 4)
        F.scaled_dot_product_attention(token, token, token)
        return model(images)

    images = photographs_like(model, 1)
    assert len(record(anatomy(model), forward, images, verify=True).attentions) == 3


def test_a_block_that_does_not_attend_is_refused():
    model = small().requires_grad_(False)
    model.blocks[1].attn.forward = lambda x, **kwargs: x
    with pytest.raises(UnsupportedModel, match="0 times"):
        record(anatomy(model), model, photographs_like(model, 1), verify=False)


def test_an_attention_that_is_not_fused_is_recorded_alike():
    model = small().requires_grad_(False)
    images = photographs_like(model, 2)
    fused = record(anatomy(model), model, images, verify=True)
    for block in model.blocks:
        block.attn.fused_attn = False
    found = record(anatomy(model), model, images, verify=True, every_row=True)
    for one, other in zip(found.attentions, fused.attentions, strict=True):
        for rows in (slice(0, None), slice(1, 4), [0, 3]):
            assert torch.allclose(one.rows(rows), other.rows(rows), atol=1e-6)
        assert torch.allclose(
            one.of(slice(1, 2)).rows(slice(0, None)), one.rows(slice(0, None))[1:]
        )
        assert torch.allclose(one.output, other.output, atol=1e-5)


@pytest.mark.parametrize("option", [{"is_causal": True}, {"dropout_p": 0.1}])
def test_attention_that_hides_or_drops_keys_is_refused(option):
    model = small().requires_grad_(False)
    attend = F.scaled_dot_product_attention
    original = model.blocks[1].attn.forward

    def forward(x, **kwargs):
        token = x[:, None]
        attend(token, token, token, **option)
        return original(x)

    model.blocks[1].attn.forward = forward
    with pytest.raises(UnsupportedModel, match="dropout, a causal mask or grouped"):
        record(anatomy(model), model, photographs_like(model, 1), verify=False)
    assert not any(block._forward_hooks for block in model.blocks)


def test_a_block_that_attends_twice_is_refused():
    model = small().requires_grad_(False)
    original = model.blocks[2].attn.forward
    model.blocks[2].attn.forward = lambda x, **kwargs: original(x) + original(x)
    with pytest.raises(UnsupportedModel, match="2 times"):
        record(anatomy(model), model, photographs_like(model, 1), verify=False)


def test_a_model_that_skips_a_block_is_refused():
    model = small().requires_grad_(False)
    parts = anatomy(model)
    model.blocks = model.blocks[:2]
    with pytest.raises(UnsupportedModel, match="ran 2 of its 3 layers"):
        record(parts, model, photographs_like(model, 1), verify=False)


@pytest.mark.parametrize("kind", masks())
@pytest.mark.parametrize("size", [1, 50, 10**6])
def test_slabs_are_the_rows_a_few_at_a_time(kind, size):
    it = attention(masks()[kind])
    parts = list(it.slabs(slice(1, None), size))
    assert torch.allclose(torch.cat([paid for _, paid in parts], dim=2), it.rows(slice(1, None)))
    assert [part.start for part, _ in parts] == [1, *(part.stop for part, _ in parts[:-1])]
    assert all(paid.numel() <= max(size, 2 * 3 * 6) for _, paid in parts)


@pytest.mark.parametrize("size", [1, 50, 10**6])
def test_slabs_of_rows_that_are_no_range(size):
    it, rows = attention(), [0, 2, 3, 5]
    parts = list(it.slabs(rows, size))
    assert torch.allclose(torch.cat([paid for _, paid in parts], dim=2), it.rows(rows))
    assert [row for part, _ in parts for row in part] == rows


@pytest.mark.parametrize("kind", masks())
def test_some_images_attend_as_they_do_among_all(kind):
    it = attention(masks()[kind])
    every = slice(0, None)
    assert torch.equal(it.of(slice(1, 2)).rows(every), it.rows(every)[1:2])
    assert torch.equal(it.of(slice(1, 2)).output, it.output[1:2])


def test_without_a_graph_nothing_can_be_differentiated():
    model = small().requires_grad_(False)
    images = photographs_like(model, 1)
    recording = record(anatomy(model), model, images, verify=True, graph=False)
    assert not recording.result.requires_grad
    assert not any(a.output.requires_grad for a in recording.attentions)
