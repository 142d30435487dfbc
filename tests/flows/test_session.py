import pytest

from pipeline.errors import UnsupportedModel
from pipeline.flows.session import frozen, fused
from tests.flows.reference import small


def test_frozen_gives_back_exactly_what_it_took():
    model = small()
    model.head.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    with frozen(model):
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    with pytest.raises(KeyError), frozen(model):
        raise KeyError
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert any(before)
    assert not all(before)


def test_a_training_model_is_refused_untouched():
    model = small().train()
    with pytest.raises(UnsupportedModel, match=r"call model\.eval"), frozen(model):
        pass
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_fused_switches_only_what_was_off():
    model = small()
    model.blocks[1].attn.fused_attn = False
    with fused(model):
        assert all(block.attn.fused_attn for block in model.blocks)
    assert [block.attn.fused_attn for block in model.blocks] == [True, False, True]
