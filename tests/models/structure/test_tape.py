import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.tape import recording, replay


class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        self.body = body

    def forward(self, x):
        return self.body(self.inner(x))


def recorded(body):
    torch.manual_seed(0)
    model, x = Net(body), torch.randn(2, 3, 6, 6)
    with recording(model, x) as ops:
        y = model(x)
    return model, x, y, ops


def add_in_place(x):
    y = x * 2
    y += x
    return y


def grow_a_list(x):
    parts = [x]
    for _ in range(2):
        parts.append(torch.cat(parts, dim=1).mul(0.5))
    return torch.cat(parts, dim=1)


def several_outputs(x):
    one, two = x.chunk(2, dim=1)
    return torch.cat([two, one.relu() + 1], dim=1)


@pytest.mark.parametrize(
    "body", [add_in_place, grow_a_list, several_outputs, lambda x: F.relu(x, inplace=True) + x]
)
def test_the_tape_played_from_another_image_is_the_model(body):
    model, x, y, ops = recorded(body)
    other = torch.randn(2, 3, 6, 6)
    (found,) = replay(ops, x, other, [y])
    assert torch.equal(found, model(other))
    (again,) = replay(ops, x, x, [y])
    assert torch.equal(again, y)


def test_values_stay_what_they_were_and_modules_too():
    model, _, y, ops = recorded(add_in_place)
    assert [op.kind for op in ops] == ["conv2d", "relu", "mul", "add"]
    assert [op.module for op in ops] == ["inner.0", "inner.1", "", ""]
    assert ops[0].outputs[0].min() < 0
    assert torch.equal(ops[3].inputs[0] + ops[3].inputs[1], y)
    assert model.inner[1].inplace is True
    assert not any(module._forward_hooks for module in model.modules())


def test_only_what_depends_on_the_image_is_recorded():
    _, _, _, ops = recorded(lambda x: x + torch.ones(2).sum().exp())
    assert [op.kind for op in ops] == ["conv2d", "relu", "add"]
    assert len(ops[2].inputs) == 1


def test_playing_in_another_precision():
    _, x, y, ops = recorded(add_in_place)
    (found,) = replay(ops, x, x.double(), [y])
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.float(), y)


def test_a_value_overwritten_by_other_means_is_refused():
    with (
        torch.no_grad(),
        pytest.raises(UnsupportedModel, match=r"overwrites its own values \(add in its forward"),
    ):
        recorded(lambda x: torch.add(x, 1, out=x))


def test_names_are_those_of_modules_whose_output_it_is():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.act = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.ReLU()
            self.last = nn.Identity()

        def forward(self, x):
            x = x + self.act(self.one(x))  # no module's output
            return self.last(x + self.act(self.two(x)))

    model, x = nn.Sequential(Block(), nn.Conv2d(3, 3, 1)), torch.randn(1, 3, 4, 4)
    kept = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: kept.setdefault(name, []).append(o))
    with recording(model, x) as tape:
        model(x)
    named = [(tape.name(op, op.outputs[0]), op.outputs[0]) for op in tape]
    assert [name for name, _ in named] == [
        "0.one", "0.act", "0:add", "0.two", "0.act", "0", "1",
    ]  # fmt: skip
    for name, value in named:
        assert ":" in name or any(value is output for output in kept[name])


def test_what_takes_only_the_shape_of_a_value_is_not_on_the_tape():
    """A mask that is filled in place, as windows of torchvision's Swin have it, is a constant."""

    class Masked(nn.Module):
        def forward(self, image):
            mask = image.new_zeros(image.shape[-1])
            mask[1:] = 2.0
            return image * mask + torch.ones_like(image)

    image = torch.randn(1, 3, 4, 4)
    with recording(Masked(), image) as ops:
        output = Masked()(image)
    assert [op.kind for op in ops] == ["mul", "add"]
    other = torch.randn(1, 3, 4, 4)
    (found,) = replay(ops, image, other, [output])
    assert torch.equal(found, Masked()(other))
