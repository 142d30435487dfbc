import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from pipeline.errors import UnsupportedModel
from pipeline.models.structure.layout import channels_last, coordinates, lies_on_image

IMAGES = torch.zeros(1, 3, 48, 64)


def of(compute) -> torch.Tensor:
    """The coordinates that a function makes of those of an image of 48 × 64 pixels."""
    with coordinates(IMAGES) as points, torch.no_grad():
        return compute(points)


def stem(x: torch.Tensor) -> torch.Tensor:
    """A map (2, 8, 12, 16) as a convolution makes it."""
    return F.conv2d(x, torch.randn(8, 3, 4, 4), stride=4)


def windows(x: torch.Tensor) -> torch.Tensor:
    """Windows of 4 × 4 cells, one after the other, in the shape of the map."""
    cells = x.view(2, 8, 3, 4, 4, 4).permute(0, 1, 2, 4, 3, 5)
    return cells.reshape(2, 8, 12, 16)


def together(x: torch.Tensor) -> torch.Tensor:
    """What ``windows`` took apart, put together."""
    return x.view(2, 8, 3, 4, 4, 4).permute(0, 1, 2, 4, 3, 5).reshape(2, 8, 12, 16)


def attended(x: torch.Tensor) -> torch.Tensor:
    tokens = x.flatten(2).mT
    paid = (tokens @ tokens.mT / 3).softmax(dim=-1)
    mixed = tokens + F.linear(paid @ tokens, torch.randn(8, 8))
    return mixed.mT.reshape(2, 8, 12, 16)


def gated(x: torch.Tensor) -> torch.Tensor:
    return x * F.conv2d(x.mean((2, 3), keepdim=True), torch.randn(8, 8, 1, 1)).sigmoid()


def shifted(x: torch.Tensor) -> torch.Tensor:
    return x + together(windows(x.roll((2, 2), (2, 3)))).roll((-2, -2), (2, 3))


def tokens_with_class(x: torch.Tensor) -> torch.Tensor:
    tokens = torch.cat([torch.randn(2, 1, 8), x.flatten(2).mT + torch.randn(1, 192, 8)], dim=1)
    return F.layer_norm(tokens, (8,))[:, 1:].mT.reshape(2, 8, 12, 16)


def in_place(x: torch.Tensor) -> torch.Tensor:
    kept = x.new_zeros(x.shape)
    kept[:, :4] = x[:, :4]
    kept[:, 4:] += x[:, 4:].relu_()
    return kept.mul_(2)


LYING = {
    "convolution": lambda x: x,
    "attention": attended,
    "gate": gated,
    "windows there and back": lambda x: together(windows(x)),
    "shifted windows": shifted,
    "class token left out": tokens_with_class,
    "in place": in_place,
    "padded convolution": lambda x: F.conv2d(F.pad(x, (1, 1, 1, 1)), torch.randn(8, 8, 3, 3)),
    "pooled and enlarged": lambda x: F.interpolate(F.max_pool2d(x, 2), scale_factor=2) - x,
    "unfolded": lambda x: F.unfold(x, 3, padding=1).view(2, 8, 9, 12, 16).sum(2),
    "einsum": lambda x: torch.einsum("bchw,dc->bdhw", x, torch.randn(5, 8)),
    "transposed convolution": lambda x: F.conv_transpose2d(x, torch.randn(8, 4, 2, 2), stride=2),
}
NOT_LYING = {
    "transposed": lambda x: x.mT.reshape(2, 8, 12, 16),
    "transposed of a square": lambda x: F.adaptive_avg_pool2d(x, 8).mT,
    "upside down": lambda x: x.flip(2),
    "mirrored": lambda x: x.flip(3),
    "rolled": lambda x: x.roll(3, 2),
    "windows": windows,
    "windows of attention": lambda x: windows(attended(x)),
    "channels behind": lambda x: x.permute(0, 2, 3, 1),
    "reshaped the wrong way": lambda x: x.flatten(2).mT.reshape(2, 8, 12, 16),
    "tokens and channels exchanged": lambda x: x.flatten(2).mT.unflatten(1, (12, 16)),
    "class token counted in": lambda x: torch.cat([x[:, :, :1, :1].flatten(2), x.flatten(2)], 2)[
        ..., :-1
    ].reshape(2, 8, 12, 16),
    "half of the channels mirrored": lambda x: torch.cat([x[:, :4], x[:, 4:].flip(3)], 1),
    "mixed by weights": lambda x: F.linear(x.flatten(2), torch.randn(192, 192)).view_as(x),
    "pooled": lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 3, 4),
    "images exchanged": lambda x: x.flip(0),
    "batch taken for rows": lambda x: x.transpose(0, 1).reshape(2, 8, 12, 16),
}


@pytest.mark.parametrize("kind", LYING)
def test_what_keeps_places_lies_on_the_image(kind):
    assert lies_on_image(of(lambda x: LYING[kind](stem(x))))


@pytest.mark.parametrize("kind", NOT_LYING)
def test_what_moves_places_does_not(kind):
    assert not lies_on_image(of(lambda x: NOT_LYING[kind](stem(x))))


@given(st.permutations(range(12)))
@settings(max_examples=60)
def test_of_all_orders_of_tokens_only_the_right_one_lies_on_the_image(order):
    def shuffled(x: torch.Tensor) -> torch.Tensor:
        tokens = F.adaptive_avg_pool2d(x, (3, 4)).flatten(2)
        return tokens[..., torch.tensor(order)].reshape(2, 3, 3, 4)

    assert lies_on_image(of(shuffled)) == (list(order) == list(range(12)))


def test_channels_are_found_where_they_are():
    first = of(stem)
    assert channels_last(first) is False
    assert channels_last(first.permute(0, 2, 3, 1)) is True
    assert channels_last(first.permute(0, 2, 1, 3)) is None
    assert channels_last(first.mean((2, 3))[:, None, None]) is True  # one cell, and so no order
    assert channels_last(first.mean((2, 3))[:, :, None, None]) is False


@pytest.mark.parametrize(
    "choose",
    [
        lambda x: x.flatten(2).gather(2, x.flatten(2).argsort(dim=2)).view_as(x),
        lambda x: x.flatten(2)[..., x.sum(1).flatten(1)[0].argsort()].view_as(x),
        lambda x: x.flatten(2).index_select(2, x.sum(1).flatten(1)[0].topk(192).indices).view_as(x),
    ],
)
def test_places_chosen_by_what_they_hold_are_refused(choose):
    with pytest.raises(UnsupportedModel, match="selects positions by their values"):
        of(lambda x: choose(stem(x)))


def test_weights_play_no_part():
    layer = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    nn.init.zeros_(layer.weight)
    assert lies_on_image(of(layer))


def test_what_a_model_raises_becomes_a_sentence():
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=12, depth=1, num_heads=1
    )
    with pytest.raises(UnsupportedModel, match=r"images of 48 × 64 pixels.*Input height"):
        of(model.eval())


def test_a_recurrent_layer_is_named():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows = nn.LSTM(3, 4, batch_first=True)

        def forward(self, images):
            return self.rows(images.flatten(2).mT)[0]

    images = torch.zeros(1, 3, 4, 4)
    with (
        pytest.raises(UnsupportedModel, match=r"recurrent layer \(LSTM, GRU\).*use input_gradient"),
        coordinates(images) as points,
    ):
        Rows()(points)
