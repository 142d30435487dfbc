import torch
from torch import nn

from pipeline.models.structure.sight import look
from tests.flows.towers import Plain
from tests.models.structure.towers import Vit


def test_every_call_with_its_modules_and_the_places_of_its_keys():
    model = Vit(prefix=1).eval()
    sight = look(model, torch.zeros(1, 3, 32, 48))
    assert [call.modules[-1] for call in sight.calls] == ["layers.0", "layers.1"]
    assert [call.number for call in sight.calls] == [0, 1]
    assert {(call.queries, call.keys) for call in sight.calls} == {(7, 7)}
    rows, columns = sight.calls[0].places[:, 1:].view(2, 2, 3)
    assert torch.equal(sight.calls[0].places[:, 0], torch.zeros(2, dtype=torch.float64))
    assert torch.allclose(rows, torch.tensor([[-0.5], [0.5]]).double().expand(2, 3))
    assert torch.allclose(columns, torch.tensor([-2, 0, 2]).double().expand(2, 3) / 3)
    assert sight.shapes["layers.0"] == (2, 7, 24)
    assert sight.runs["layers.0"] == 1


def test_heads_at_different_places_have_none():
    model = Vit(kind="heads first").eval()
    assert look(model, torch.zeros(1, 3, 32, 48)).calls[0].places is None


def test_the_encoder_of_torch_is_seen_and_the_model_left_as_it_was():
    model = Plain(first=True).eval()
    images = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        wanted = model(images)
        assert len(look(model, images).calls) == 2
        assert torch.equal(model(images), wanted)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_an_attention_of_something_else_is_no_call():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = Vit()
            self.text = nn.Parameter(torch.randn(1, 2, 4, 8))

        def forward(self, images):
            nn.functional.scaled_dot_product_attention(self.text, self.text, self.text)
            return self.tower(images)

    sight = look(Beside().eval(), torch.zeros(1, 3, 32, 48))
    assert [call.number for call in sight.calls] == [1, 2]
