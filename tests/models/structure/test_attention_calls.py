import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.attention_calls import AttentionCalls


class Kept(AttentionCalls):
    """Keeps every call, and multiplies its output."""

    def __init__(self, images=2, times=2):
        super().__init__(images)
        self.calls, self.times = [], times

    def see(self, call, output):
        self.calls.append((call, output))
        return self.times * output


def tensors(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def matrix(call):
    if call.weights is not None:
        return call.weights
    scores = call.query @ call.key.mT * call.scale
    return (scores if call.mask is None else scores + call.mask).softmax(-1)


def by_hand(query, key, value):
    weights = (query * query.shape[-1] ** -0.5 @ key.mT).softmax(dim=-1)
    return F.dropout(weights, 0.1, training=False) @ value


def by_einsum(query, key, value):
    scores = torch.einsum("bhid,bhjd->bhij", query, key) * query.shape[-1] ** -0.5
    return torch.einsum("b h i j, b h j d -> b h i d", scores.softmax(-1), value)


@pytest.mark.parametrize("attend", [F.scaled_dot_product_attention, by_hand, by_einsum])
def test_an_attention_is_seen_and_its_output_replaced(attend):
    query, key, value = tensors((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 5))
    wanted = attend(query, key, value)
    with Kept() as kept:
        found = attend(query, key, value)
    assert torch.equal(found, 2 * wanted)
    ((call, output),) = kept.calls
    assert torch.equal(output, wanted)
    assert matrix(call).shape == (2, 3, 4, 6)
    assert torch.allclose(matrix(call) @ call.value, wanted, atol=1e-6)


@pytest.mark.parametrize("by_softmax", [False, True])
@pytest.mark.parametrize("mask", [None, (1, 4, 6), (6, 4, 6), (4, 6)])
def test_heads_that_are_packed_into_the_batch_are_unpacked(mask, by_softmax):
    query, key, value = tensors((6, 4, 5), (6, 6, 5), (6, 6, 5))
    bias = None if mask is None else tensors(mask, seed=1)[0]

    def attend():
        if not by_softmax:
            return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        scores = query @ key.mT * 5**-0.5
        return torch.bmm((scores if bias is None else scores + bias).softmax(-1), value)

    wanted = attend()
    with Kept() as kept:
        assert torch.equal(attend(), 2 * wanted)
    ((call, output),) = kept.calls
    assert call.query.shape[:3] == output.shape[:3] == (2, 3, 4)
    assert torch.allclose(output.flatten(0, 1), wanted)
    assert torch.allclose(matrix(call) @ call.value, output, atol=1e-6)


@pytest.mark.parametrize("what", ["changed weights", "transposed", "another product"])
def test_a_softmax_that_weighs_no_values_is_not_seen(what):
    query, key, value = tensors((2, 3, 4, 5), (2, 3, 4, 5), (2, 3, 4, 5))
    with Kept() as kept:
        weights = (query @ key.mT).softmax(-1)
        if what == "changed weights":
            (weights + weights.flip(1)) @ value
        elif what == "transposed":
            torch.einsum("bhij,bhid->bhjd", weights, value)
        else:
            query @ key.mT
    assert not kept.calls


MULTI_HEAD = {
    "plain": {},
    "batch first": {"batch_first": True},
    "other widths": {"kdim": 8, "vdim": 10},
    "without bias": {"bias": False},
}


@pytest.mark.parametrize("masked", [None, "bool", "float", "per head"])
@pytest.mark.parametrize("kind", MULTI_HEAD)
def test_multi_head_attention_is_that_of_torch(kind, masked):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(12, 3, **MULTI_HEAD[kind]).eval()
    query, key, value = tensors((4, 2, 12), (6, 2, layer.kdim), (6, 2, layer.vdim))
    if layer.batch_first:
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
    mask = None
    if masked == "bool":
        mask = torch.rand(4, 6) > 0.7
        mask[:, 0] = False
    elif masked:
        mask = torch.randn((6, 4, 6) if masked == "per head" else (4, 6))
    for options in ({}, {"need_weights": False}, {"average_attn_weights": False}):
        wanted = layer(query, key, value, attn_mask=mask, **options)
        with Kept(times=1) as kept:
            found = layer(query, key, value, attn_mask=mask, **options)
        assert torch.allclose(found[0], wanted[0], atol=1e-6)
        assert (found[1] is None) == (wanted[1] is None)
        if wanted[1] is not None:
            assert torch.allclose(found[1], wanted[1], atol=1e-6)
        ((call, output),) = kept.calls
        assert output.shape == (2, 3, 4, 4)
        assert torch.allclose(matrix(call) @ call.value, output, atol=1e-6)


def test_one_image_without_a_batch():
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(12, 3).eval()
    (tokens,) = tensors((5, 12))
    wanted = layer(tokens, tokens, tokens)
    with Kept(images=1, times=1):
        found = layer(tokens, tokens, tokens)
    assert torch.allclose(found[0], wanted[0], atol=1e-6)
    assert torch.allclose(found[1], wanted[1], atol=1e-6)


@pytest.mark.parametrize("option", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_keys_that_are_no_tokens_are_refused(option):
    layer = nn.MultiheadAttention(12, 3, **option).eval()
    (tokens,) = tensors((5, 2, 12))
    with Kept(), pytest.raises(UnsupportedModel, match="keys of its own"):
        layer(tokens, tokens, tokens)


def test_what_is_not_watched_runs_as_it_is():
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(12, 3, add_zero_attn=True).eval()
    (tokens,) = tensors((5, 2, 12))
    kept = Kept()
    kept.watching = False
    with kept:
        layer(tokens, tokens, tokens)
        F.scaled_dot_product_attention(tokens, tokens, tokens, is_causal=True)
    assert not kept.calls
